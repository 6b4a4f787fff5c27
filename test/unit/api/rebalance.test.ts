/** Every route that reads state, while tasks move: it waits, forwards or is 503 with Retry-After, and is never wrong. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { SHADOW_BOUNDS } from "../../../processors/formats/shadow.ts";
import { NEW_ROW, NO_STATE } from "../../../processors/shadow/shadow-row.ts";
import { STORES } from "../../../processors/formats/records.ts";
import { StateUnavailableError } from "../../../runtime/queries.ts";
import { type ApiUnderTest, apiOverFakes, listening } from "./support/api.ts";
import { aggregate, alert, deviceState, ledgerRow } from "./support/rows.ts";

const BY_KEY = [
  "/v1/tenants/demo/devices/d1",
  "/v1/tenants/demo/devices/d1/aggregates",
  "/v1/tenants/demo/devices/d1/alerts",
  "/v1/tenants/demo/devices/d1/ledger",
  "/v1/stores/totals/demo%7Cd1",
  "/v1/stores/hourly/demo%7Cd1/windows",
  "/v1/tenants/demo/devices/d1/shadow",
  "/v1/tenants/demo/devices/d1/shadow/requests/r1",
  "/v1/tenants/demo/devices/d1/control",
];
const LISTS = ["/v1/tenants", "/v1/tenants/demo/devices", "/v1/tenants/demo/alerts", "/v1/stores/totals", "/v1/stores/hourly"];
/** Routes that are about no rows of tasks. What became of a command is read from the log, by any worker. */
const STATELESS = ["/v1/stores", "/v1/stream", "/v1/tasks", "/v1/tenants/{tenant}/devices/{id}/commands/{command}", "/v1/topology"];

function worker(t: TestContext, workerId: string, hasRows: boolean): ApiUnderTest {
  const api = apiOverFakes(t, { peerTimeoutMs: 500, workerId, shadow: { bounds: SHADOW_BOUNDS, send: () => Promise.resolve() } });
  const { queries } = api;
  queries.storeInfos = [
    { name: "totals", kind: "key-value", changelog: true },
    { name: "hourly", kind: "window", changelog: true },
  ];
  if (!hasRows) return api;
  queries.put(STORES.deviceState, "demo|d1", deviceState("d1"));
  queries.put(STORES.ledger, "demo|d1", ledgerRow("d1"));
  queries.put(STORES.alerts, "demo|d1", { active: [alert("d1")], recent: [] });
  queries.put(STORES.aggregateHistory, "demo|d1|10000|0", aggregate("d1", 0));
  queries.put(STORES.shadows, "demo|d1", NEW_ROW.changed(NO_STATE, 1).with("r1", "applied"));
  queries.put("totals", "demo|d1", { count: 3 });
  queries.putWindow("hourly", "demo|d1", 3_600_000, { count: 3 });
  return api;
}

async function ask({ app }: ApiUnderTest, path: string): Promise<{ status: number; code: unknown; retryAfter: unknown; body: unknown }> {
  const answer = await app.inject(path);
  const body = answer.json<{ code?: string }>();
  return { status: answer.statusCode, code: body.code, retryAfter: answer.headers["retry-after"], body };
}

const unavailable = { kind: "unavailable", retryAfterMs: 2_000 } as const;

test("these are all the routes that read state", async (t) => {
  const { app } = worker(t, "w1", true);
  const { paths } = (await app.inject("/openapi.json")).json<{ paths: Record<string, { get?: object }> }>();
  const shapes = [...BY_KEY, ...LISTS].map((path) =>
    path
      .replace(/tenants\/demo/, "tenants/{tenant}")
      .replace(/devices\/d1/, "devices/{id}")
      .replace(/requests\/r1/, "requests/{request}")
      .replace(/stores\/\w+/, "stores/{store}")
      .replace(/demo%7Cd1/, "{key}"),
  );
  const reads = Object.entries(paths).filter(([path, { get }]) => path.startsWith("/v1/") && get !== undefined);
  assert.deepEqual(reads.map(([path]) => path).sort(), [...new Set([...shapes, ...STATELESS])].sort());
});

for (const path of BY_KEY) {
  test(`a task that moves is waited for, and is 503 with Retry-After when that takes long: ${path}`, async (t) => {
    const api = worker(t, "w1", true);
    const undisturbed = await ask(api, path);
    assert.equal(undisturbed.status, 200);
    let asked = 0;
    api.queries.location = () => (++asked < 5 ? unavailable : { kind: "local", taskId: "0_0" });
    assert.deepEqual(await ask(api, path), undisturbed);
    assert.equal(asked, 5);
    api.queries.location = () => unavailable;
    const { status, code, retryAfter } = await ask(api, path);
    assert.deepEqual([status, code, retryAfter], [503, "state-unavailable", "2"]);
  });

  test(`a task that moved is asked where it is, and 503 with Retry-After while its workers disagree: ${path}`, async (t) => {
    const [one, two] = [worker(t, "w1", false), worker(t, "w2", true)];
    const urls = [await listening(one.app), await listening(two.app)];
    one.queries.location = () => ({ kind: "remote", url: urls[1], workerId: "w2" });
    const answered = await ask(two, path);
    assert.equal(answered.status, 200);
    assert.deepEqual(await ask(one, path), answered);
    two.queries.location = () => ({ kind: "remote", url: urls[0], workerId: "w1" });
    const { status, code, retryAfter } = await ask(one, path);
    assert.deepEqual([status, code, retryAfter], [503, "state-unavailable", "1"]);
    await two.app.close();
    assert.deepEqual((await ask(one, path)).code, "owner-unreachable");
  });
}

for (const path of [...BY_KEY, ...LISTS])
  test(`a task that moves while it is read is 503 with Retry-After: ${path}`, async (t) => {
    const api = worker(t, "w1", true);
    api.queries.failure = new StateUnavailableError("task 0_0 moved while it was asked", 1_500);
    const { status, code, retryAfter } = await ask(api, path);
    assert.deepEqual([status, code, retryAfter], [503, "state-unavailable", "2"]);
  });

for (const path of LISTS)
  test(`a list is 503 with Retry-After while a worker, this or another, is in a rebalance, and says so with partial=true: ${path}`, async (t) => {
    const [one, two] = [worker(t, "w1", true), worker(t, "w2", false)];
    const members = [
      { workerId: "w1", url: await listening(one.app), tasks: ["0_0"], standbys: [] },
      { workerId: "w2", url: await listening(two.app), tasks: ["0_1"], standbys: [] },
    ];
    for (const { queries } of [one, two]) queries.info = { ...queries.info, members };
    const undisturbed = await ask(one, path);
    assert.equal(undisturbed.status, 200);
    for (const { queries } of [one, two]) {
      queries.info = { ...queries.info, state: "REBALANCING" };
      const { status, code, retryAfter } = await ask(one, path);
      assert.deepEqual([status, code, retryAfter], [503, "workers-missing", "1"]);
      const part = await ask(one, `${path}?partial=true`);
      const missing = [{ workerId: queries.info.workerId, reason: "worker is REBALANCING" }];
      assert.deepEqual(part.body, { ...(undisturbed.body as object), complete: false, missing });
      queries.info = { ...queries.info, state: "RUNNING" };
    }
  });
