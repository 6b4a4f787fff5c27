import assert from "node:assert/strict";
import { test } from "node:test";
import { STORES } from "../../../processors/formats/records.ts";
import { apiOverFakes } from "./support/api.ts";
import { alert, deviceState } from "./support/rows.ts";

interface DeviceList {
  devices: { deviceId: string }[];
  next: string | null;
  complete: boolean;
}

function ids(list: DeviceList): string[] {
  return list.devices.map((device) => device.deviceId);
}

test("devices of a tenant come by id in pages that follow on each other, and of no other tenant", async (t) => {
  const { app, queries } = apiOverFakes(t);
  for (let n = 0; n < 25; n++)
    queries.put(STORES.deviceState, `demo|d${String(n).padStart(2, "0")}`, deviceState(`d${String(n).padStart(2, "0")}`));
  for (const tenant of ["dem", "demo2"]) queries.put(STORES.deviceState, `${tenant}|d00`, deviceState("d00", { tenant }));
  const seen: string[] = [];
  let after = "";
  for (let pages = 0; pages < 4; pages++) {
    const list: DeviceList = (await app.inject(`/v1/tenants/demo/devices?limit=10${after}`)).json();
    seen.push(...ids(list));
    assert.equal(list.complete, true);
    if (list.next === null) break;
    after = `&after=${encodeURIComponent(list.next)}`;
  }
  assert.deepEqual(
    seen,
    Array.from({ length: 25 }, (_, n) => `d${String(n).padStart(2, "0")}`),
  );
});

test("a page has 100 devices unless asked otherwise, and never reads more than it needs", async (t) => {
  const { app, queries } = apiOverFakes(t);
  for (let n = 0; n < 150; n++) queries.put(STORES.deviceState, `demo|d${n}`, deviceState(`d${n}`));
  const list: DeviceList = (await app.inject("/v1/tenants/demo/devices")).json();
  assert.equal(list.devices.length, 100);
  assert.deepEqual(queries.scans, [{ store: STORES.deviceState, limit: 100 }]);
  assert.equal((await app.inject("/v1/tenants/demo/devices?limit=1001")).statusCode, 400);
});

test("contains= keeps matching ids, whatever the case", async (t) => {
  const { app, queries } = apiOverFakes(t);
  for (const id of ["Pump-1", "fan-1", "pump-2"]) queries.put(STORES.deviceState, `demo|${id}`, deviceState(id));
  assert.deepEqual(ids((await app.inject("/v1/tenants/demo/devices?contains=PUMP")).json()), ["Pump-1", "pump-2"]);
});

test("a filter that matches little reads a bounded number of rows and says where to go on", async (t) => {
  const { app, queries } = apiOverFakes(t);
  for (let n = 0; n < 10_500; n++) queries.put(STORES.deviceState, `demo|d${String(n).padStart(5, "0")}`, deviceState("d"));
  queries.put(STORES.deviceState, "demo|needle", deviceState("needle"));
  const first: DeviceList = (await app.inject("/v1/tenants/demo/devices?contains=needle")).json();
  assert.deepEqual([first.devices.length, first.next], [0, "d09999"]);
  const second: DeviceList = (await app.inject("/v1/tenants/demo/devices?contains=needle&after=d09999")).json();
  assert.deepEqual([ids(second), second.next], [["needle"], null]);
});

test("tenants are listed by one row each", async (t) => {
  const { app, queries } = apiOverFakes(t);
  for (const key of ["a|1", "a|2", "a}|x", "ab|1", "z|1"]) queries.put(STORES.deviceState, key, deviceState("x"));
  const body = (await app.inject("/v1/tenants")).json();
  assert.deepEqual(
    body.tenants,
    [{ tenant: "ab" }, { tenant: "a" }, { tenant: "a}" }, { tenant: "z" }].sort((a, b) => (a.tenant < b.tenant ? -1 : 1)),
  );
  assert.equal(body.next, null);
});

test("a tenant's firing alerts leave out devices whose alerts are over", async (t) => {
  const { app, queries } = apiOverFakes(t);
  queries.put(STORES.alerts, "demo|d1", { active: [alert("d1")], recent: [] });
  queries.put(STORES.alerts, "demo|d2", { active: [], recent: [alert("d2", "resolved")] });
  const body = (await app.inject("/v1/tenants/demo/alerts")).json();
  assert.deepEqual(body.devices, [{ deviceId: "d1", active: [alert("d1")] }]);
});

test("a list of a worker that still restores is 503, or with partial=true marked incomplete", async (t) => {
  const { app, queries } = apiOverFakes(t);
  queries.put(STORES.deviceState, "demo|d1", deviceState("d1"));
  queries.info = { ...queries.info, state: "REBALANCING" };
  const refused = await app.inject("/v1/tenants/demo/devices");
  assert.equal(refused.statusCode, 503);
  assert.equal(refused.headers["retry-after"], "1");
  assert.deepEqual(refused.json().missing, [{ workerId: "w1", reason: "worker is REBALANCING" }]);
  const part: DeviceList = (await app.inject("/v1/tenants/demo/devices?partial=true")).json();
  assert.deepEqual([ids(part), part.complete], [["d1"], false]);
});
