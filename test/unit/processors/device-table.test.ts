import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { DeviceTable } from "../../../processors/device.ts";

const keys = fc.constantFrom(...["a", "b", "c", "d", "e"].map((id) => `demo|${id}`));

test("whatever keys were brought near, in whatever order devices are asked for, each key has its own device and always the same", () => {
  const step = fc.record({ near: fc.array(keys, { maxLength: 8 }), count: fc.nat(8), asked: fc.array(keys, { maxLength: 8 }) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 8 }), (steps) => {
      const table = new DeviceTable([]);
      const known = new Map<string, unknown>();
      for (const { near, count, asked } of steps) {
        table.touch(near, Math.min(count, near.length));
        // as the records come, less what does not come this far, and then anything
        for (const key of [...near.filter((_, i) => i % 3 !== 1), ...asked]) {
          const device = table.get(key);
          assert.equal(device?.key, key);
          assert.equal(device, known.get(key) ?? device);
          known.set(key, device);
        }
      }
    }),
  );
});
