/** Generic rows over HTTP: get, range, prefix, windows, all; over the group; never a wrong answer. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import type { StoreInfo } from "../../../runtime/queries.ts";
import { type ApiUnderTest, apiOverFakes, listening } from "./support/api.ts";

const STORES: StoreInfo[] = [
  { name: "totals", kind: "key-value", changelog: true },
  { name: "hourly", kind: "window", changelog: true },
];

function withStores(t: TestContext, options = {}): ApiUnderTest {
  const api = apiOverFakes(t, { peerTimeoutMs: 500, ...options });
  api.queries.storeInfos = STORES;
  return api;
}

async function keys(api: ApiUnderTest, query: string): Promise<string[]> {
  const response = await api.app.inject(`/v1/stores/totals?${query}`);
  assert.equal(response.statusCode, 200, response.body);
  return response.json<{ rows: { key: string }[] }>().rows.map((row) => row.key);
}

test("stores are listed, and a row is answered by its key", async (t) => {
  const { app, queries } = withStores(t);
  queries.put("totals", "demo|d1", { count: 3, bytes: Buffer.from("hi"), ids: new Map([["a", 1]]), big: 5n, none: NaN });
  assert.deepEqual((await app.inject("/v1/stores")).json(), { stores: STORES });
  const row = await app.inject("/v1/stores/totals/demo%7Cd1");
  assert.deepEqual(row.json(), { key: "demo|d1", value: { count: 3, bytes: "aGk=", ids: [["a", 1]], big: "5", none: null } });
  const missing = await app.inject("/v1/stores/totals/demo%7Cd2");
  assert.deepEqual([missing.statusCode, missing.json().code], [404, "row-unknown"]);
  const unknown = await app.inject("/v1/stores/nonsense/x");
  assert.deepEqual([unknown.statusCode, unknown.json().code], [404, "store-unknown"]);
  const windowed = await app.inject("/v1/stores/hourly/x");
  assert.deepEqual([windowed.statusCode, windowed.json().code], [400, "invalid-request"]);
});

test("a row is looked for where the partition key's task is: by default the device's", async (t) => {
  const { app, queries } = withStores(t);
  queries.put("totals", "demo|d1|10000|7", 1);
  await app.inject("/v1/stores/totals/demo%7Cd1%7C10000%7C7?maxStalenessMs=2000");
  await app.inject("/v1/stores/totals/x?partitionKey=site-1");
  assert.deepEqual(queries.located, [
    { key: "demo|d1", store: "totals" },
    { key: "site-1", store: "totals" },
  ]);
});

test("all rows, a prefix, a range, and pages of them", async (t) => {
  const api = withStores(t);
  for (const key of ["a", "ab", "b", "c", "d"]) api.queries.put("totals", key, 1);
  assert.deepEqual(await keys(api, ""), ["a", "ab", "b", "c", "d"]);
  assert.deepEqual(await keys(api, "prefix=a"), ["a", "ab"]);
  assert.deepEqual(await keys(api, "from=ab&to=d"), ["ab", "b", "c"]);
  assert.deepEqual(await keys(api, "from=ab&to=d&after=ab&limit=1"), ["b"]);
});

test("windows of a key between two times, oldest first, and said when cut", async (t) => {
  const { app, queries } = withStores(t);
  for (const start of [3_000, 1_000, 2_000]) queries.putWindow("hourly", "k", start, { count: start });
  queries.putWindow("hourly", "k2", 1_500, { count: 0 });
  const some = (await app.inject("/v1/stores/hourly/k/windows?from=1000&to=3000")).json();
  assert.deepEqual(some, {
    windows: [1_000, 2_000].map((windowStart) => ({ key: "k", windowStart, value: { count: windowStart } })),
    truncated: false,
  });
  assert.equal((await app.inject("/v1/stores/hourly/k/windows?limit=2")).json().truncated, true);
  assert.equal((await app.inject("/v1/stores/totals/k/windows")).statusCode, 400);
  assert.equal((await app.inject("/v1/stores/hourly/k/windows?from=yesterday")).statusCode, 400);
});

test("rows of all workers come in one order, page by page, windows too, and a worker that cannot be asked is 503", async (t) => {
  const one = withStores(t, { workerId: "w1" });
  const two = withStores(t, { workerId: "w2" });
  const urls = [await listening(one.app), await listening(two.app)];
  const members = urls.map((url, index) => ({ workerId: `w${index + 1}`, url, tasks: [`0_${index}`], standbys: [] }));
  for (const { queries } of [one, two]) queries.info = { ...queries.info, members };
  for (let n = 0; n < 9; n++) (n % 2 === 0 ? one : two).queries.putWindow("hourly", `k${n % 3}`, n * 1_000, n);
  const seen: string[] = [];
  let after: string | null = null;
  do {
    const query: string = after === null ? "" : `&after=${encodeURIComponent(after)}`;
    const page = (await one.app.inject(`/v1/stores/hourly?limit=2${query}`)).json();
    for (const row of page.rows) seen.push(`${row.key}@${row.windowStart}`);
    after = page.next;
  } while (after !== null);
  assert.deepEqual(
    seen,
    [0, 3, 6, 1, 4, 7, 2, 5, 8].map((n) => `k${n % 3}@${n * 1_000}`),
  );
  await two.app.close();
  const partly = await one.app.inject("/v1/stores/hourly");
  assert.deepEqual([partly.statusCode, partly.json().code], [503, "workers-missing"]);
  assert.ok(partly.headers["retry-after"]);
});

test("a row of another worker is answered by that one", async (t) => {
  const one = withStores(t, { workerId: "w1" });
  const two = withStores(t, { workerId: "w2" });
  const url = await listening(two.app);
  one.queries.location = () => ({ kind: "remote", url, workerId: "w2" });
  two.queries.put("totals", "k", 7);
  assert.deepEqual((await one.app.inject("/v1/stores/totals/k")).json(), { key: "k", value: 7 });
});

test("a task that moves is waited for; one that takes longer is 503 with Retry-After", async (t) => {
  const { app, queries } = withStores(t);
  queries.put("totals", "k", 7);
  let asked = 0;
  queries.location = () => (++asked < 5 ? { kind: "unavailable", retryAfterMs: 1_000 } : { kind: "local", taskId: "0_0" });
  assert.equal((await app.inject("/v1/stores/totals/k")).json().value, 7);
  queries.location = () => ({ kind: "unavailable", retryAfterMs: 2_000 });
  const late = await app.inject("/v1/stores/totals/k");
  assert.deepEqual([late.statusCode, late.json().code, late.headers["retry-after"]], [503, "state-unavailable", "2"]);
});

test("no store without the token, whoever's rows they are", async (t) => {
  const { app } = withStores(t, { token: "secret" });
  for (const path of ["/v1/stores", "/v1/stores/totals", "/v1/stores/totals/k", "/v1/stores/hourly/k/windows"]) {
    assert.equal((await app.inject(path)).statusCode, 401, path);
    assert.notEqual((await app.inject({ url: path, headers: { authorization: "Bearer secret" } })).statusCode, 401, path);
  }
});

test("while its owner cannot be asked, a row comes from a copy that is fresh enough, with its age", async (t) => {
  const { app, queries } = withStores(t);
  queries.location = () => ({ kind: "unavailable", retryAfterMs: 1_000 });
  queries.standbyLocations = [
    {
      kind: "local",
      stalenessMs: 120,
      reader: { get: () => Promise.resolve({ count: 7 }), windows: () => Promise.resolve([]), scan: () => Promise.resolve([]) },
    },
  ];
  assert.equal((await app.inject("/v1/stores/totals/k")).statusCode, 503, "only for those who say how old it may be");
  const answer = await app.inject("/v1/stores/totals/k?maxStalenessMs=500");
  assert.deepEqual([answer.statusCode, answer.headers["x-sluice-staleness-ms"], answer.json().value], [200, "120", { count: 7 }]);
});

test("a row of a worker that is gone comes from a copy at another one", async (t) => {
  const one = withStores(t, { workerId: "w1" });
  const two = withStores(t, { workerId: "w2" });
  const url = await listening(two.app);
  one.queries.location = () => ({ kind: "remote", url: "http://127.0.0.1:9", workerId: "dead" });
  one.queries.standbyLocations = [{ kind: "remote", url, workerId: "w2" }];
  two.queries.location = one.queries.location;
  two.queries.standbyLocations = [
    {
      kind: "local",
      stalenessMs: 40,
      reader: { get: () => Promise.resolve({ count: 3 }), windows: () => Promise.resolve([]), scan: () => Promise.resolve([]) },
    },
  ];
  assert.equal((await one.app.inject("/v1/stores/totals/k")).statusCode, 503);
  const answer = await one.app.inject("/v1/stores/totals/k?maxStalenessMs=500");
  assert.deepEqual([answer.statusCode, answer.headers["x-sluice-staleness-ms"], answer.json().value], [200, "40", { count: 3 }]);
});
