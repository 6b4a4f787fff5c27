import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { test } from "node:test";
import { deviceRowStore } from "../../../processors/device-row.ts";
import { DeviceStateRow } from "../../../processors/device-state-row.ts";
import { jsonSerdes } from "../../../processors/json-serdes.ts";
import { ByteWriter } from "../../../state/byte-writer.ts";
import { Job, KEY, T0 } from "./support/job.ts";

test("one record per commit and changed device, with the newest value of each metric by event time", async (t) => {
  const job = await Job.start(t);
  job.send({ bootId: "b", seq: 1, ts: T0 + 10, tempC: 1, rpm: 5, fw: "1" }, { at: T0 + 100 });
  job.send({ bootId: "b", seq: 3, ts: T0 + 30, tempC: 3 }, { at: T0 + 101 });
  job.send({ bootId: "b", seq: 2, ts: T0 + 20, tempC: 2, rpm: 6, fw: "0", site: "x" }, { at: T0 + 102 });
  job.send({ bootId: "b", seq: 1, ts: T0, tempC: 9 }, { key: "demo|other" });
  const [state, other] = job.deviceStates();
  assert.deepEqual(state, {
    v: 1,
    tenant: "demo",
    deviceId: "d1",
    bootId: "b",
    seq: 3,
    ts: T0 + 30,
    receivedTs: T0 + 101,
    metrics: { temperature_c: { value: 3, ts: T0 + 30 }, rotation_rpm: { value: 6, ts: T0 + 20 } },
    attributes: { fw: "1", site: "x" },
  });
  assert.equal(other.deviceId, "other");
  assert.deepEqual(job.deviceStates(), [], "nothing changed since");
});

test("metric names that objects have already are names like any other", async (t) => {
  const job = await Job.start(t);
  job.send({ seq: 1, toString: 1, constructor: 2, hasOwnProperty: "x" });
  const [state] = job.deviceStates();
  assert.deepEqual(Object.keys(state.metrics), ["toString", "constructor"]);
  assert.deepEqual(state.attributes, { hasOwnProperty: "x" });
});

test("the row survives a restart as it was", async (t) => {
  const directory = await mkdtemp(`${tmpdir()}/sluice-device-state-`);
  t.after(() => rm(directory, { recursive: true, force: true }));
  const state = { engine: "level", directory } as const;
  const before = await Job.start(t, {}, { state });
  before.send({ bootId: 'a "quoted" one', seq: 7, ts: -5_000, tempC: -0.5, on: true, off: false, né: "ü😀" });
  before.send({ tempC: 1 }, { key: "demo|bare" });
  const rows = [KEY, "demo|bare"].map((key) => before.driver.store(deviceRowStore).get(key)?.state?.record());
  await before.stop();
  const after = await Job.start(t, {}, { state });
  assert.deepEqual(
    [KEY, "demo|bare"].map((key) => after.driver.store(deviceRowStore).get(key)?.state?.record()),
    rows,
  );
});

test("the JSON put together by hand is JSON.stringify's of the record", () => {
  const record = {
    v: 1,
    tenant: 'te"nant',
    deviceId: "d\u2028😀",
    bootId: "b\\1",
    seq: 0,
    ts: -1.5,
    receivedTs: 1_795_000_000_000,
    metrics: { "a b": { value: -0.1, ts: 1 }, é: { value: 1e300, ts: 2 } },
    attributes: { on: true, text: '"' },
  } as const;
  const full = DeviceStateRow.of(record);
  assert.equal(json(full), JSON.stringify(full.record()));
  assert.deepEqual(JSON.parse(json(full)), record);
  const bare = new DeviceStateRow("t", "d");
  bare.ts = 1;
  assert.equal(json(bare), JSON.stringify(bare.record()));
});

function json(row: DeviceStateRow): string {
  const out = new ByteWriter();
  jsonSerdes.deviceState.write(row, out);
  return out.toBuffer().toString();
}
