import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { windowRowStore, WindowRow } from "../../../processors/window-row.ts";
import { ByteWriter } from "../../../state/byte-writer.ts";

const T0 = 1_767_225_600_000;
const NAMES = ["tempC", "rpm"];
const { value: serde } = windowRowStore({ type: "tumbling", sizeMs: 10_000, graceMs: 0, time: "device", idleMs: 60_000 });

function roundTrip(row: WindowRow): WindowRow {
  const out = new ByteWriter();
  out.time(1); // of another row
  const start = out.position;
  serde.write(row, out);
  return serde.read(out.buffer, start, out.position) as WindowRow;
}

const sensor = fc.oneof(
  fc.integer({ min: -5_000, max: 5_000 }).map((value) => value / 100),
  fc.double({ noNaN: true }),
);
const reading = fc.record({ names: fc.constantFrom(NAMES, NAMES, ["door"]), first: sensor, second: sensor, ts: fc.nat(10_000) });

test("a window's row is read as it was, whatever was added to it, and goes on as it would have", () => {
  fc.assert(
    fc.property(fc.array(reading, { maxLength: 5 }), fc.nat(100_000), fc.boolean(), reading, (readings, receivedAfter, closed, next) => {
      const row = new WindowRow(readings[0]?.names ?? NAMES, T0 + receivedAfter);
      row.start = T0;
      row.closed = closed;
      const add = (to: WindowRow, { names, first, second, ts }: typeof next): number =>
        to.add(names, [first, second].slice(0, names.length), T0 + ts);
      for (const one of readings) add(row, one);
      const read = roundTrip(row);
      assert.deepEqual(read, row);
      assert.deepEqual([add(read, next), read], [add(row, next), row]);
    }),
  );
});

test("a window of one reading has that reading only", () => {
  const row = new WindowRow(NAMES, T0 + 40);
  const bytesAfter = (temperature: number, rpm: number, ts: number): number => {
    row.add(NAMES, [temperature, rpm], ts);
    const out = new ByteWriter();
    serde.write(row, out);
    return out.position;
  };
  const one = bytesAfter(21.57, 1_203, T0 + 20);
  const two = bytesAfter(21.6, 1_204, T0 + 30);
  assert.deepEqual({ one, two }, { one: 29, two: 84 });
});
