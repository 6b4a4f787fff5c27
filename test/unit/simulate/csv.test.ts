import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { test } from "node:test";
import { parseCsv, readCsv, replay } from "../../../cli/simulate/csv.ts";

const NAB = fileURLToPath(new URL("../../../examples/data/nab/machine_temperature_system_failure.csv", import.meta.url));
const OPTIONS = { tenant: "demo", deviceId: "machine-1", metric: "tempC", speed: 300 };

test("the machine-temperature file has 22,695 readings and reads as UTC", () => {
  const readings = readCsv(NAB);
  assert.equal(readings.length, 22_695);
  assert.deepEqual(readings[0], { ts: Date.UTC(2013, 11, 2, 21, 15), value: 73.96732207 });
});

test("a replay keeps the distances of times, moved so that the last lies where asked", () => {
  const readings = parseCsv("timestamp,value\n2013-12-02 21:15:00,1\n2013-12-02 21:20:00,2.5\n2013-12-02 21:30:00,3\n", "x");
  const events = [...replay(readings, { ...OPTIONS, bootId: "b1", lastTs: 1_767_225_600_000 }, 50)];
  assert.deepEqual(
    events.map(({ payload }) => payload.ts),
    [1_767_225_600_000 - 900_000, 1_767_225_600_000 - 600_000, 1_767_225_600_000],
  );
  assert.deepEqual(
    events.map(({ sendAtMs }) => sendAtMs),
    [50, 1050, 3050],
  );
  assert.equal(events[1].topic, "t/demo/d/machine-1/telemetry");
  assert.equal(
    events[1].bytes.toString(),
    `{"deviceId":"machine-1","bootId":"b1","seq":1,"ts":${1_767_225_600_000 - 600_000},"tempC":2.5}`,
  );
});

test("without a wanted end, times stay as recorded", () => {
  const [event] = replay([{ ts: 5, value: 1 }], OPTIONS, 0);
  assert.equal(event.payload.ts, 5);
  assert.equal("bootId" in event.payload, false);
});

test("a file that is no such CSV is refused with its line", () => {
  assert.throws(() => parseCsv("time,value\n", "f.csv"), /f\.csv:1: expected the columns/);
  assert.throws(() => parseCsv("timestamp,value\n2013-12-02 21:15:00,1\nnonsense,2", "f.csv"), /f\.csv:3/);
  assert.throws(() => parseCsv("timestamp,value\n2013-12-02 21:15:00,", "f.csv"), /f\.csv:2/);
});
