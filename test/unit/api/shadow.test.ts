import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import type { FastifyInstance } from "fastify";
import type { ShadowGate } from "../../../api/options.ts";
import { STORES } from "../../../processors/formats/records.ts";
import { SHADOW_BOUNDS, type ShadowOutcome, type ShadowRequest } from "../../../processors/formats/shadow.ts";
import { NEW_ROW, NO_STATE, ShadowRow } from "../../../processors/shadow/shadow-row.ts";
import { apiOverFakes, listening } from "./support/api.ts";
import type { FakeQueries } from "./support/fake-worker.ts";

const URL = "/v1/tenants/demo/devices/d1/shadow";
const KEY = "demo|d1";

/** What a worker would make of a request, at once; `outcome` undefined: it is busy elsewhere. */
class FakeGate implements ShadowGate {
  readonly bounds = SHADOW_BOUNDS;
  readonly sent: ShadowRequest[] = [];
  outcome: ShadowOutcome | undefined = "applied";
  failure: Error | undefined;
  owner: FakeQueries | undefined;

  async send(request: ShadowRequest): Promise<void> {
    if (this.failure !== undefined) throw this.failure;
    this.sent.push(request);
    if (this.outcome !== undefined) this.owner?.put(STORES.shadows, KEY, applied(request, this.outcome));
  }
}

function applied({ id, state = {} }: ShadowRequest, outcome: ShadowOutcome): ShadowRow {
  return NEW_ROW.changed({ ...NO_STATE, desired: state }, 5).with(id, outcome);
}

function withGate(t: TestContext, workerId = "w1"): { app: FastifyInstance; gate: FakeGate; queries: FakeQueries } {
  const gate = new FakeGate();
  const { app, queries } = apiOverFakes(t, { shadow: gate, workerId });
  gate.owner = queries;
  return { app, gate, queries };
}

test("a shadow is told with its version as ETag; none is a 404, and 501 when shadows are off", async (t) => {
  const { app, queries } = withGate(t);
  assert.deepEqual([(await app.inject(URL)).statusCode, (await app.inject(URL)).json().code], [404, "shadow-unknown"]);
  queries.put(STORES.shadows, KEY, new ShadowRow(7, { ...NO_STATE, desired: { a: 1 } }, 5, []));
  const found = await app.inject(URL);
  assert.deepEqual([found.statusCode, found.headers.etag], [200, '"7"']);
  assert.deepEqual(found.json(), {
    v: 1,
    tenant: "demo",
    deviceId: "d1",
    version: 7,
    desired: { a: 1 },
    reported: {},
    delta: { a: 1 },
    metadata: { desired: {}, reported: {} },
    ts: 5,
  });
  queries.put(STORES.shadows, KEY, new ShadowRow(8, undefined, 5, []));
  assert.equal((await app.inject(URL)).statusCode, 404);
  const off = apiOverFakes(t).app;
  for (const method of ["GET", "PUT", "PATCH", "DELETE"] as const)
    assert.deepEqual(
      (await off.inject({ method, url: URL, ...(method === "GET" || method === "DELETE" ? {} : { payload: {} }) })).statusCode,
      501,
    );
});

test("a change is answered when it is applied, with the shadow as it is then", async (t) => {
  const { app, gate } = withGate(t);
  const patched = await app.inject({
    method: "PATCH",
    url: URL,
    payload: { interval: 5, gone: null },
    headers: { "idempotency-key": "k1" },
  });
  assert.equal(patched.statusCode, 200);
  assert.deepEqual(gate.sent[0], { v: 1, id: "k1", tenant: "demo", deviceId: "d1", op: "patch", state: { interval: 5, gone: null } });
  const { id, outcome, version, shadow } = patched.json();
  assert.deepEqual([id, outcome, version, shadow.version], ["k1", "applied", 1, 1]);
  const merge = { "content-type": "application/merge-patch+json", "if-match": '"3"' };
  await app.inject({ method: "PATCH", url: URL, payload: '{"a":1}', headers: merge });
  await app.inject({ method: "PUT", url: URL, payload: { b: 2 }, headers: { "if-match": "4" } });
  await app.inject({ method: "DELETE", url: URL });
  assert.deepEqual(
    gate.sent.slice(1).map(({ op, state, ifVersion }) => [op, state, ifVersion]),
    [
      ["patch", { a: 1 }, 3],
      ["replace", { b: 2 }, 4],
      ["delete", undefined, undefined],
    ],
  );
  assert.equal(new Set(gate.sent.map((request) => request.id)).size, 4);
});

test("a change that is refused says why: another version is a 412, a state over its limit a 413", async (t) => {
  const { app, gate } = withGate(t);
  for (const [outcome, status, code] of [
    ["conflict", 412, "version-conflict"],
    ["too-large", 413, "payload-too-large"],
  ] as const) {
    gate.outcome = outcome;
    const response = await app.inject({ method: "PATCH", url: URL, payload: { a: 1 } });
    assert.deepEqual([response.statusCode, response.json().code], [status, code]);
  }
});

test("a change that is not applied in time is a 202 that says where to look, and that answers once it is", async (t) => {
  const { app, gate, queries } = withGate(t);
  queries.location = () => ({ kind: "unavailable", retryAfterMs: 100 });
  gate.outcome = undefined;
  const response = await app.inject({ method: "PATCH", url: URL, payload: { a: 1 }, headers: { "idempotency-key": "k1" } });
  assert.deepEqual([response.statusCode, response.json()], [202, { id: "k1", outcome: "accepted" }]);
  assert.equal(response.headers.location, `${URL}/requests/k1`);
  queries.location = () => ({ kind: "local", taskId: "1_0" });
  const early = await app.inject(`${URL}/requests/k1`);
  assert.deepEqual([early.statusCode, early.json().code], [404, "shadow-request-unknown"]);
  const waiting = app.inject(`${URL}/requests/k1?waitMs=2000`);
  queries.put(STORES.shadows, KEY, applied(gate.sent[0], "applied"));
  assert.deepEqual([(await waiting).statusCode, (await waiting).json().outcome], [200, "applied"]);
});

test("a change of a device whose shadow lives elsewhere is answered by that worker, its refusal too", async (t) => {
  const owner = withGate(t, "w2");
  const url = await listening(owner.app);
  const { app, gate, queries } = withGate(t);
  gate.owner = owner.queries;
  queries.location = () => ({ kind: "remote", url, workerId: "w2" });
  const done = await app.inject({ method: "PATCH", url: URL, payload: { a: 1 } });
  assert.deepEqual([done.statusCode, done.json().shadow.desired], [200, { a: 1 }]);
  const read = await app.inject(URL);
  assert.deepEqual([read.statusCode, read.headers.etag], [200, '"1"']);
  gate.outcome = "conflict";
  assert.equal((await app.inject({ method: "PATCH", url: URL, payload: { a: 1 } })).statusCode, 412);
  owner.queries.location = () => ({ kind: "unavailable", retryAfterMs: 100 });
  assert.equal((await app.inject({ method: "PATCH", url: URL, payload: { a: 1 } })).statusCode, 202, "its task is moving");
});

test("what is no change is a 400, a log that is away a 503, and nothing is sent", async (t) => {
  const { app, gate } = withGate(t);
  const wrong: [object | string, Record<string, string>, RegExp][] = [
    [[], {}, /object/],
    ["7", { "content-type": "application/json" }, /object/],
    ['{"__proto__":{"a":1}}', { "content-type": "application/json" }, /./],
    [{ "a\\b": 1 }, {}, /name/],
    [{ a: 1 }, { "if-match": "*" }, /If-Match/],
    [{ a: 1 }, { "if-match": '"x"' }, /If-Match/],
    [{ a: 1 }, { "idempotency-key": "a b" }, /id/],
    [{ a: { a: { a: { a: { a: { a: { a: { a: {} } } } } } } } }, {}, /deep/],
  ];
  for (const [payload, headers, detail] of wrong) {
    const response = await app.inject({ method: "PATCH", url: URL, payload, headers });
    assert.equal(response.statusCode, 400, JSON.stringify(payload));
    assert.match(response.json().detail, detail);
  }
  const tooLarge = await app.inject({ method: "PUT", url: URL, payload: { a: "x".repeat(40_000) } });
  assert.equal(tooLarge.statusCode, 413);
  assert.equal((await app.inject({ method: "PATCH", url: "/v1/tenants/demo/devices/a%2Fb/shadow", payload: {} })).statusCode, 400);
  assert.deepEqual(gate.sent, []);
  gate.failure = new Error("away");
  const away = await app.inject({ method: "PATCH", url: URL, payload: { a: 1 } });
  assert.deepEqual([away.statusCode, away.json().code], [503, "log-unavailable"]);
});
