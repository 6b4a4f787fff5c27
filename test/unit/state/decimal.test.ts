import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ByteWriter } from "../../../state/byte-writer.ts";

function written(value: number): string {
  const out = new ByteWriter(1);
  out.decimal(value);
  return out.buffer.toString("latin1", 0, out.position);
}

test("decimal() writes every number as JSON does", () => {
  for (const value of [
    0,
    -0,
    9,
    10,
    999_999_999,
    1e9,
    1e9 + 1,
    1_795_423_410_918,
    2 ** 53 - 1,
    2 ** 53,
    1e21,
    -1,
    0.1,
    5e-324,
    999_999.5e9,
    0.000001,
    -0.05,
    999_999_999.999999,
    1e9 + 0.5,
    -21.37,
  ])
    assert.equal(written(value), JSON.stringify(value));
  fc.assert(fc.property(fc.maxSafeNat(), (value) => assert.equal(written(value), JSON.stringify(value))));
  fc.assert(
    fc.property(fc.integer(), fc.integer({ min: 0, max: 9 }), (digits, places) => {
      const value = Number(`${digits}e-${places}`);
      assert.equal(written(value), JSON.stringify(value));
    }),
  );
  fc.assert(
    fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => assert.equal(written(value), JSON.stringify(value))),
  );
});
