/** Lists and windows while a worker cannot be asked: out of copies, as old as the caller allows, and never a wrong answer. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { STORES } from "../../../processors/formats/records.ts";
import { type ApiUnderTest, apiOverFakes, listening } from "./support/api.ts";
import { FakeQueries } from "./support/fake-worker.ts";
import { aggregate, alert, deviceState } from "./support/rows.ts";

/** Nobody listens there. */
const DEAD_URL = "http://127.0.0.1:9";
const LISTS = ["/v1/tenants", "/v1/tenants/demo/devices", "/v1/tenants/demo/alerts", "/v1/stores/totals"];

interface Group {
  /** With task 0_0, and devices of an even number. */
  readonly one: ApiUnderTest;
  /** Of no task. */
  readonly two: ApiUnderTest;
  /** What the dead worker had: task 0_1, and devices of an odd number. */
  readonly lost: FakeQueries;
}

async function withDeadWorker(t: TestContext): Promise<Group> {
  const [one, two] = ["w1", "w2"].map((workerId) => apiOverFakes(t, { peerTimeoutMs: 500, workerId }));
  const lost = new FakeQueries("dead");
  const members = [
    { workerId: "w1", url: await listening(one.app), tasks: ["0_0"], standbys: ["0_1"] },
    { workerId: "w2", url: await listening(two.app), tasks: [], standbys: ["0_0", "0_1"] },
    { workerId: "dead", url: DEAD_URL, tasks: ["0_1"], standbys: [] },
  ];
  for (const { queries } of [one, two]) {
    queries.info = { ...queries.info, members };
    queries.allTasks = ["0_0", "0_1"];
    queries.storeInfos = [{ name: "totals", kind: "key-value", changelog: true }];
    queries.location = (key) => (isOdd(key) ? { kind: "remote", url: DEAD_URL, workerId: "dead" } : { kind: "local", taskId: "0_0" });
  }
  for (let n = 0; n < 10; n++) {
    const owner = n % 2 === 0 ? one.queries : lost;
    put(owner, n);
  }
  return { one, two, lost };
}

function put(queries: FakeQueries, n: number): void {
  queries.put(STORES.deviceState, `demo|d${n}`, deviceState(`d${n}`));
  queries.put("totals", `demo|d${n}`, { n });
  queries.put(STORES.alerts, `demo|d${n}`, { active: [alert(`d${n}`)], recent: [] });
}

const isOdd = (key: string): boolean => Number(key.at(-1)) % 2 === 1;

/** A copy of the lost task. */
function copyAt({ queries }: ApiUnderTest, stalenessMs: number, of: FakeQueries): void {
  queries.copies.set("0_1", { stalenessMs, queries: of });
  const standby = { taskId: "0_1", partition: 1, warmup: false, lag: 0, stalenessMs };
  queries.info = { ...queries.info, standbys: [standby] };
}

async function list(api: ApiUnderTest, query: string): Promise<{ ids: string[]; age: unknown; next: string | null; complete: boolean }> {
  const answer = await api.app.inject(`/v1/tenants/demo/devices?${query}`);
  assert.equal(answer.statusCode, 200, answer.body);
  const { devices, next, complete } = answer.json<{ devices: { deviceId: string }[]; next: string | null; complete: boolean }>();
  return { ids: devices.map(({ deviceId }) => deviceId), age: answer.headers["x-sluice-staleness-ms"], next, complete };
}

const ALL = Array.from({ length: 10 }, (_, n) => `d${n}`);
const EVEN = ALL.filter((id) => !isOdd(id));

for (const path of LISTS)
  test(`a list is whole out of copies for those who say how old it may be, and 503 for all others: ${path}`, async (t) => {
    const { one, lost } = await withDeadWorker(t);
    copyAt(one, 120, lost);
    const refused = await one.app.inject(path);
    assert.deepEqual([refused.statusCode, refused.json().code, refused.headers["retry-after"]], [503, "workers-missing", "1"]);
    const answer = await one.app.inject(`${path}?maxStalenessMs=500`);
    assert.deepEqual([answer.statusCode, answer.json().complete, answer.json().missing], [200, true, []]);
    assert.equal(answer.headers["x-sluice-staleness-ms"], "120");
    const items = Object.values<unknown>(answer.json()).find(Array.isArray) as unknown[];
    assert.equal(items.length, path === "/v1/tenants" ? 1 : 10);
  });

test("a copy that is too old is not used: 503, or with partial=true what there is and who is missing", async (t) => {
  const { one, lost } = await withDeadWorker(t);
  copyAt(one, 501, lost);
  assert.equal((await one.app.inject("/v1/tenants/demo/devices?maxStalenessMs=500")).statusCode, 503);
  assert.deepEqual(await list(one, "maxStalenessMs=500&partial=true"), { ids: EVEN, age: undefined, next: null, complete: false });
});

test("another worker's copy is asked when the one here is too old, and when there is none", async (t) => {
  const { one, two, lost } = await withDeadWorker(t);
  copyAt(two, 40, lost);
  assert.deepEqual(await list(one, "maxStalenessMs=500"), { ids: ALL, age: "40", next: null, complete: true });
  copyAt(one, 501, lost);
  assert.deepEqual(await list(one, "maxStalenessMs=500"), { ids: ALL, age: "40", next: null, complete: true });
});

test("each task's rows are of one worker: what its owner has deleted does not come back out of a copy", async (t) => {
  const { one, two, lost } = await withDeadWorker(t);
  const older = new FakeQueries("older");
  put(older, 98);
  two.queries.copies.set("0_0", { stalenessMs: 10, queries: older });
  copyAt(one, 30, lost);
  copyAt(two, 20, older);
  assert.deepEqual((await list(one, "maxStalenessMs=500")).ids, ALL, "of the owner and of one copy, not of two");
});

test("rows of owners and of copies come in one order, page by page", async (t) => {
  const { one, two, lost } = await withDeadWorker(t);
  copyAt(two, 40, lost);
  const seen: string[] = [];
  let after = "";
  for (let page = 0; page < 4; page++) {
    const { ids, next } = await list(one, `maxStalenessMs=500&limit=3${after}`);
    seen.push(...ids);
    if (next === null) break;
    after = `&after=${next}`;
  }
  assert.deepEqual(seen, ALL);
});

test("when everybody can be asked, no copy is, and the answer has no age", async (t) => {
  const { one, lost } = await withDeadWorker(t);
  copyAt(one, 120, lost);
  one.queries.allTasks = ["0_0"];
  one.queries.info = { ...one.queries.info, members: one.queries.info.members.slice(0, 2) };
  assert.deepEqual(await list(one, "maxStalenessMs=500"), { ids: EVEN, age: undefined, next: null, complete: true });
});

test("while a worker restores a task, its others and a copy of that one make the list whole", async (t) => {
  const { one, two, lost } = await withDeadWorker(t);
  const members = [
    { ...one.queries.info.members[0], tasks: ["0_0", "0_1"] },
    { ...one.queries.info.members[1], standbys: ["0_1"] },
  ];
  const restoring = {
    taskId: "0_1",
    partition: 1,
    status: "restoring" as const,
    inputs: [],
    stores: [],
    restore: [],
    streamTime: 0,
    receiveTime: 0,
  };
  one.queries.info = { ...one.queries.info, state: "REBALANCING", members, tasks: [restoring] };
  assert.equal((await one.app.inject("/v1/tenants/demo/devices")).statusCode, 503);
  copyAt(two, 40, lost);
  assert.deepEqual(await list(one, "maxStalenessMs=500"), { ids: ALL, age: "40", next: null, complete: true });
  one.queries.allTasks = undefined; // while it starts: it cannot know what is whole
  assert.equal((await one.app.inject("/v1/tenants/demo/devices?maxStalenessMs=500")).statusCode, 503);
});

test("a device's windows come from a copy while its owner cannot be asked, with their age", async (t) => {
  const { one, lost } = await withDeadWorker(t);
  lost.put(STORES.aggregateHistory, "demo|d1|10000|0", aggregate("d1", 20_000));
  one.queries.standbyLocations = [{ kind: "local", stalenessMs: 7, reader: lost }];
  const path = "/v1/tenants/demo/devices/d1/aggregates";
  assert.equal((await one.app.inject(path)).statusCode, 503);
  const answer = await one.app.inject(`${path}?maxStalenessMs=500`);
  assert.deepEqual([answer.statusCode, answer.headers["x-sluice-staleness-ms"]], [200, "7"]);
  assert.deepEqual(answer.json().aggregates, [aggregate("d1", 20_000)]);
});

test("copies are asked for by their tasks, of one worker, and with a bound", async (t) => {
  const { one, lost } = await withDeadWorker(t);
  copyAt(one, 120, lost);
  const local = await one.app.inject("/v1/tenants/demo/devices?scope=local&copiesOf=0_1,0_2&maxStalenessMs=500");
  assert.deepEqual(local.json().sources, [{ taskId: "0_1", stalenessMs: 120 }]);
  assert.deepEqual([local.json().devices.length, local.headers["x-sluice-staleness-ms"]], [5, "120"]);
  for (const query of [
    "copiesOf=0_1",
    "copiesOf=0_1&scope=local",
    "copiesOf=0_1&maxStalenessMs=5",
    "scope=local&maxStalenessMs=5&copiesOf=x",
  ]) {
    const refused = await one.app.inject(`/v1/tenants/demo/devices?${query}`);
    assert.deepEqual([refused.statusCode, refused.json().code], [400, "invalid-request"], query);
  }
});
