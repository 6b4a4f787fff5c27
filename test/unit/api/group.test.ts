import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test, type TestContext } from "node:test";
import { pino } from "pino";
import { STORES } from "../../../processors/formats/records.ts";
import { type ApiUnderTest, apiOverFakes, listening } from "./support/api.ts";
import { deviceState } from "./support/rows.ts";

interface Two {
  readonly one: ApiUnderTest;
  readonly two: ApiUnderTest;
  readonly urls: readonly [string, string];
}

interface List {
  devices: { deviceId: string }[];
  next: string | null;
  complete: boolean;
}

function ids({ devices }: List): string[] {
  return devices.map((device) => device.deviceId);
}

/** Two workers that know each other; devices with an even number live on the first. */
async function twoWorkers(t: TestContext, token?: string): Promise<Two> {
  const options = { peerTimeoutMs: 500, ...(token === undefined ? {} : { token }) };
  const one = apiOverFakes(t, { ...options, workerId: "w1" });
  const two = apiOverFakes(t, { ...options, workerId: "w2" });
  const urls = [await listening(one.app), await listening(two.app)] as const;
  const members = [
    { workerId: "w1", url: urls[0], tasks: ["0_0"], standbys: [] },
    { workerId: "w2", url: urls[1], tasks: ["0_1"], standbys: [] },
    { workerId: "idle", url: undefined, tasks: [], standbys: [] },
  ];
  for (const { queries } of [one, two]) queries.info = { ...queries.info, members };
  for (let n = 0; n < 10; n++) (n % 2 === 0 ? one : two).queries.put(STORES.deviceState, `demo|d${n}`, deviceState(`d${n}`));
  one.queries.location = (key) =>
    Number(key.at(-1)) % 2 === 0 ? { kind: "local", taskId: "0_0" } : { kind: "remote", url: urls[1], workerId: "w2" };
  two.queries.location = (key) =>
    Number(key.at(-1)) % 2 === 1 ? { kind: "local", taskId: "0_1" } : { kind: "remote", url: urls[0], workerId: "w1" };
  return { one, two, urls };
}

test("a device of another worker is answered by that one", async (t) => {
  const { one } = await twoWorkers(t);
  const response = await one.app.inject("/v1/tenants/demo/devices/d3");
  assert.equal(response.statusCode, 200);
  assert.equal(response.json().deviceId, "d3");
  const missing = await one.app.inject("/v1/tenants/demo/devices/x5");
  assert.deepEqual([missing.statusCode, missing.json().code], [404, "device-unknown"]);
});

test("the query goes along when a request is forwarded", async (t) => {
  const { one } = await twoWorkers(t);
  const response = await one.app.inject("/v1/tenants/demo/devices/d3/aggregates?limit=0");
  assert.equal(response.statusCode, 400);
});

test("the caller's token goes along, and nothing else opens the other worker", async (t) => {
  const { one } = await twoWorkers(t, "s3cret-token");
  const headers = { authorization: "Bearer s3cret-token" };
  assert.equal((await one.app.inject({ url: "/v1/tenants/demo/devices/d3", headers })).json().deviceId, "d3");
  assert.equal((await one.app.inject({ url: "/v1/tenants/demo/devices", headers })).json().devices.length, 10);
});

test("two workers that each think the other has it end after one hop with 503", async (t) => {
  const { one, two, urls } = await twoWorkers(t);
  one.queries.location = () => ({ kind: "remote", url: urls[1], workerId: "w2" });
  two.queries.location = () => ({ kind: "remote", url: urls[0], workerId: "w1" });
  const response = await one.app.inject("/v1/tenants/demo/devices/d3");
  assert.deepEqual([response.statusCode, response.json().code, response.headers["retry-after"]], [503, "state-unavailable", "1"]);
});

test("a task that moves is 503 with Retry-After", async (t) => {
  const { app, queries } = apiOverFakes(t);
  queries.location = () => ({ kind: "unavailable", retryAfterMs: 1500 });
  const response = await app.inject("/v1/tenants/demo/devices/d3");
  assert.deepEqual([response.statusCode, response.json().code, response.headers["retry-after"]], [503, "state-unavailable", "2"]);
});

test("an owner that is gone is 503, one that hangs too, after the time-out", async (t) => {
  const { one, two } = await twoWorkers(t);
  await two.app.close();
  const gone = await one.app.inject("/v1/tenants/demo/devices/d3");
  assert.deepEqual([gone.statusCode, gone.json().code], [503, "owner-unreachable"]);

  const silent = createServer(() => undefined).listen(0, "127.0.0.1");
  t.after(() => void silent.close().closeAllConnections());
  await new Promise((resolve) => silent.once("listening", resolve));
  one.queries.location = () => ({ kind: "remote", url: `http://127.0.0.1:${(silent.address() as AddressInfo).port}`, workerId: "w2" });
  const hung = await one.app.inject("/v1/tenants/demo/devices/d3");
  assert.deepEqual([hung.statusCode, hung.json().code], [503, "owner-unreachable"]);
});

test("where a worker is that does not answer is in the log, once until it answers again, and in no answer", async (t) => {
  const lines: { level: number; url?: string }[] = [];
  const logger = pino({}, { write: (text) => lines.push(JSON.parse(text) as { level: number; url?: string }) });
  const { app, queries } = apiOverFakes(t, { logger });
  let isAway = true;
  const other = createServer((_request, response) => (isAway ? response.destroy() : response.end("{}"))).listen(0, "127.0.0.1");
  t.after(() => void other.close().closeAllConnections());
  await new Promise((resolve) => other.once("listening", resolve));
  const { port } = other.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}`;
  const members = [...queries.info.members, { workerId: "w2", url, tasks: ["0_1"], standbys: [] }];
  queries.info = { ...queries.info, members };
  queries.location = () => ({ kind: "remote", url, workerId: "w2" });
  const paths = ["devices/d3", "devices/d3/ledger", "devices", "devices?partial=true"].map((path) => `/v1/tenants/demo/${path}`);
  for (const path of paths) {
    const { body } = await app.inject(path);
    assert.match(body, /does not answer/);
    assert.ok(!body.includes(String(port)), body);
  }
  isAway = false;
  assert.equal((await app.inject(paths[0])).statusCode, 200);
  assert.deepEqual(
    lines.map((line) => [line.level, line.url]),
    [
      [40, url],
      [30, url],
    ],
  );
});

test("a redirect of the owner is not followed: it could carry the token away", async (t) => {
  const asked: string[] = [];
  const thief = createServer((request, response) => {
    asked.push(String(request.headers.authorization));
    if (asked.length === 1) response.writeHead(302, { location: "/elsewhere" });
    response.end("{}");
  }).listen(0, "127.0.0.1");
  t.after(() => void thief.close().closeAllConnections());
  await new Promise((resolve) => thief.once("listening", resolve));
  const { app, queries } = apiOverFakes(t);
  queries.location = () => ({ kind: "remote", url: `http://127.0.0.1:${(thief.address() as AddressInfo).port}`, workerId: "w2" });
  assert.equal((await app.inject("/v1/tenants/demo/devices/d3")).statusCode, 503);
  assert.equal(asked.length, 1);
});

test("a list holds the devices of all workers, page by page, from whichever is asked", async (t) => {
  const { one, two } = await twoWorkers(t);
  for (const { app } of [one, two]) {
    const first = (await app.inject("/v1/tenants/demo/devices?limit=4")).json<List>();
    assert.deepEqual(ids(first), ["d0", "d1", "d2", "d3"]);
    const rest = (await app.inject(`/v1/tenants/demo/devices?after=${first.next ?? ""}`)).json<List>();
    assert.deepEqual(ids(rest), ["d4", "d5", "d6", "d7", "d8", "d9"]);
    assert.deepEqual([rest.next, rest.complete], [null, true]);
  }
});

test("scope=local keeps to the worker that was asked", async (t) => {
  const { one } = await twoWorkers(t);
  const list = (await one.app.inject("/v1/tenants/demo/devices?scope=local")).json<List>();
  assert.deepEqual(ids(list), ["d0", "d2", "d4", "d6", "d8"]);
});

test("a list without one of the workers is 503; partial=true gives the rest and names who is missing", async (t) => {
  const { one, two } = await twoWorkers(t);
  await two.app.close();
  const refused = await one.app.inject("/v1/tenants/demo/devices");
  assert.deepEqual([refused.statusCode, refused.json().code, refused.json().missing[0].workerId], [503, "workers-missing", "w2"]);
  const part = (await one.app.inject("/v1/tenants/demo/devices?partial=true")).json();
  assert.deepEqual([part.devices.length, part.complete, part.missing[0].workerId], [5, false, "w2"]);
});

test("a member that restores makes the merged list incomplete", async (t) => {
  const { one, two } = await twoWorkers(t);
  two.queries.info = { ...two.queries.info, state: "REBALANCING" };
  assert.equal((await one.app.inject("/v1/tenants/demo/devices")).statusCode, 503);
  const part = (await one.app.inject("/v1/tenants/demo/devices?partial=true")).json();
  assert.deepEqual([part.devices.length, part.missing], [10, [{ workerId: "w2", reason: "worker is REBALANCING" }]]);
});

test("a member with tasks and without a URL cannot be asked, and that is said", async (t) => {
  const { app, queries } = apiOverFakes(t);
  queries.info = { ...queries.info, members: [...queries.info.members, { workerId: "w2", url: undefined, tasks: ["0_1"], standbys: [] }] };
  const response = await app.inject("/v1/tenants/demo/devices");
  assert.deepEqual([response.statusCode, response.json().missing], [503, [{ workerId: "w2", reason: "has no advertised URL" }]]);
});

test("topology sums each edge over the workers, tasks lists them all, and both say who is missing", async (t) => {
  const { one, two } = await twoWorkers(t);
  one.queries.view = {
    text: "text",
    mermaid: "graph",
    nodes: [{ name: "a", kind: "source", topic: "raw" }],
    edges: [{ from: "a", to: "b", records: 5 }],
  };
  two.queries.setEdges([{ from: "a", to: "b", records: 7 }]);
  const topology = (await one.app.inject("/v1/topology")).json();
  assert.deepEqual(topology, { ...one.queries.view, edges: [{ from: "a", to: "b", records: 12 }], workers: ["w1", "w2"], missing: [] });
  const local = (await one.app.inject("/v1/topology?scope=local")).json();
  assert.deepEqual([local.edges[0].records, local.workers], [5, ["w1"]]);
  const workerIds = (tasks: { workers: { workerId: string }[] }): string[] => tasks.workers.map(({ workerId }) => workerId);
  assert.deepEqual(workerIds((await one.app.inject("/v1/tasks")).json()), ["w1", "w2"]);
  await two.app.close();
  const rest = (await one.app.inject("/v1/tasks")).json();
  assert.deepEqual([workerIds(rest), rest.missing[0].workerId], [["w1"], "w2"]);
});
