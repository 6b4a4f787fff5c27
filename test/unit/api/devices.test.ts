import assert from "node:assert/strict";
import { test } from "node:test";
import { type AggregateRecord, type LedgerView, STORES } from "../../../processors/formats/records.ts";
import { StateUnavailableError } from "../../../runtime/queries.ts";
import { apiOverFakes } from "./support/api.ts";
import { aggregate, alert, deviceState, ledgerRow } from "./support/rows.ts";

test("a device answers with last values, ledger summary and firing alerts", async (t) => {
  const { app, queries } = apiOverFakes(t);
  queries.put(STORES.deviceState, "demo|d1", deviceState("d1"));
  queries.put(STORES.ledger, "demo|d1", ledgerRow("d1"));
  queries.put(STORES.alerts, "demo|d1", { active: [alert("d1")], recent: [] });
  const response = await app.inject("/v1/tenants/demo/devices/d1");
  assert.equal(response.statusCode, 200);
  const body = response.json();
  assert.deepEqual(body.metrics, { temperature_c: { value: 21.5, ts: 1000 } });
  assert.equal(body.ledger.received, 3);
  assert.equal(body.ledger.boots, 1);
  assert.deepEqual(body.activeAlerts, [alert("d1")]);
});

test("a device of which only values are known has no ledger and no alerts", async (t) => {
  const { app, queries } = apiOverFakes(t);
  queries.put(STORES.deviceState, "demo|d1", deviceState("d1"));
  const body = (await app.inject("/v1/tenants/demo/devices/d1")).json();
  assert.equal(body.ledger, null);
  assert.deepEqual(body.activeAlerts, []);
});

for (const path of ["", "/aggregates", "/alerts", "/ledger"]) {
  test(`an unknown device is a 404 problem: devices/{id}${path}`, async (t) => {
    const { app } = apiOverFakes(t);
    const response = await app.inject(`/v1/tenants/demo/devices/nope${path}`);
    assert.equal(response.statusCode, 404);
    assert.match(String(response.headers["content-type"]), /^application\/problem\+json/);
    assert.equal(response.json().code, "device-unknown");
  });
}

test("ids travel percent-encoded, whatever they hold", async (t) => {
  const { app, queries } = apiOverFakes(t);
  const id = `<img src=x onerror=alert(1)> é ${"日".repeat(60)}/?`;
  queries.put(STORES.deviceState, `demo|${id}`, deviceState(id));
  const response = await app.inject(`/v1/tenants/demo/devices/${encodeURIComponent(id)}`);
  assert.equal(response.json().deviceId, id);
  assert.match(String(response.headers["content-type"]), /^application\/json/);
});

for (const [what, id] of [
  ["a bar", "a|b"],
  ["a control character", "a\nb"],
  ["more than 256 bytes", "é".repeat(129)],
] as const) {
  test(`an id with ${what} is refused`, async (t) => {
    const { app } = apiOverFakes(t);
    for (const path of [`/v1/tenants/demo/devices/${encodeURIComponent(id)}`, `/v1/tenants/${encodeURIComponent(id)}/devices`]) {
      const response = await app.inject(path);
      assert.equal(response.statusCode, 400, path);
      assert.equal(response.json().code, "invalid-request");
    }
  });
}

test("windows come by start within [from, to), in ms or ISO-8601; the newest `limit` of them", async (t) => {
  const { app, queries } = apiOverFakes(t);
  // A ring: slots are not in order of time.
  for (const [slot, start] of [20_000, 30_000, 0, 10_000].entries())
    queries.put(STORES.aggregateHistory, `demo|d1|10000|${slot}`, aggregate("d1", start));
  queries.put(STORES.aggregateHistory, "demo|d1|60000|0", aggregate("d1", 0, 60_000));
  queries.put(STORES.aggregateHistory, "demo|d10|10000|0", aggregate("d10", 5));
  const starts = async (query: string): Promise<number[]> =>
    (await app.inject(`/v1/tenants/demo/devices/d1/aggregates${query}`))
      .json<{ aggregates: AggregateRecord[] }>()
      .aggregates.map((row) => row.window.start);
  assert.deepEqual(await starts(""), [0, 0, 10_000, 20_000, 30_000]);
  assert.deepEqual(await starts("?sizeMs=10000"), [0, 10_000, 20_000, 30_000]);
  assert.deepEqual(await starts("?from=10000&to=30000"), [10_000, 20_000]);
  assert.deepEqual(await starts(`?from=1970-01-01T00:00:10Z&to=${new Date(30_000).toISOString()}`), [10_000, 20_000]);
  assert.deepEqual(await starts("?limit=2"), [20_000, 30_000]);
  assert.equal((await app.inject("/v1/tenants/demo/devices/d1/aggregates?limit=2")).json().truncated, true);
});

for (const query of ["from=yesterday", "from=20&to=10", "limit=0", "limit=1001", "limit=x", "form=1", "to=-5"]) {
  test(`aggregates?${query} is refused`, async (t) => {
    const { app } = apiOverFakes(t);
    const response = await app.inject(`/v1/tenants/demo/devices/d1/aggregates?${query}`);
    assert.equal(response.statusCode, 400);
    assert.equal(response.json().code, "invalid-request");
  });
}

test("alerts: firing ones and recent ones", async (t) => {
  const { app, queries } = apiOverFakes(t);
  queries.put(STORES.alerts, "demo|d1", { active: [alert("d1")], recent: [alert("d1", "resolved")] });
  assert.deepEqual((await app.inject("/v1/tenants/demo/devices/d1/alerts")).json(), {
    active: [alert("d1")],
    recent: [alert("d1", "resolved")],
  });
  queries.put(STORES.deviceState, "demo|quiet", deviceState("quiet"));
  assert.deepEqual((await app.inject("/v1/tenants/demo/devices/quiet/alerts")).json(), { active: [], recent: [] });
});

test("the ledger shows the runs of sequence numbers of each boot", async (t) => {
  const { app, queries } = apiOverFakes(t);
  queries.put(STORES.ledger, "demo|d1", ledgerRow("d1"));
  const ledger = (await app.inject("/v1/tenants/demo/devices/d1/ledger")).json<LedgerView>();
  assert.equal(ledger.received, 3);
  assert.deepEqual(
    ledger.boots.map((boot) => [boot.bootId, boot.intervals]),
    [
      [
        "b1",
        [
          [1, 2],
          [5, 5],
        ],
      ],
    ],
  );
});

test("state that moved while it was read is 503 with Retry-After", async (t) => {
  const { app, queries } = apiOverFakes(t);
  queries.failure = new StateUnavailableError("task 0_3 moved", 2500);
  const response = await app.inject("/v1/tenants/demo/devices/d1");
  assert.equal(response.statusCode, 503);
  assert.equal(response.headers["retry-after"], "3");
  assert.equal(response.json().code, "state-unavailable");
});

test("a fault inside is 500 and tells nothing of itself", async (t) => {
  const { app, queries } = apiOverFakes(t);
  queries.failure = new Error("secret path /var/lib");
  const response = await app.inject("/v1/tenants/demo/devices/d1");
  assert.equal(response.statusCode, 500);
  assert.doesNotMatch(response.body, /secret/);
});

test("a command is answered with 501 where commands are off", async (t) => {
  const { app } = apiOverFakes(t);
  const response = await app.inject({ method: "POST", url: "/v1/tenants/demo/devices/d1/commands", payload: { name: "reboot" } });
  assert.equal(response.statusCode, 501);
  assert.equal(response.json().code, "commands-unavailable");
});

test("while its task moves, a device is answered from a copy to those who say how old it may be", async (t) => {
  const { app, queries } = apiOverFakes(t);
  queries.location = () => ({ kind: "unavailable", retryAfterMs: 1_000 });
  const state = deviceState("d1");
  const reader = {
    get: (store: string) => Promise.resolve(store === STORES.deviceState ? state : undefined),
    windows: () => Promise.resolve([]),
    scan: () => Promise.resolve([]),
  };
  queries.standbyLocations = [{ kind: "local", stalenessMs: 9, reader }];
  const answer = await app.inject("/v1/tenants/demo/devices/d1?maxStalenessMs=1000");
  assert.deepEqual([answer.statusCode, answer.headers["x-sluice-staleness-ms"], answer.json().deviceId], [200, "9", "d1"]);
  assert.equal((await app.inject("/v1/tenants/demo/devices/d1")).statusCode, 503);
});
