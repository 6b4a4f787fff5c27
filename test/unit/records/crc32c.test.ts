import assert from "node:assert/strict";
import { test } from "node:test";
import { crc32c } from "../../../eventlog/records/crc32c.ts";

test("crc32c equals the vectors of RFC 3720, appendix B.4", () => {
  assert.equal(crc32c(Buffer.alloc(32)), 0x8a9136aa);
  assert.equal(crc32c(Buffer.alloc(32, 0xff)), 0x62a8ab43);
  assert.equal(crc32c(Buffer.from(Array.from({ length: 32 }, (_, i) => i))), 0x46dd794e);
  assert.equal(crc32c(Buffer.from("123456789")), 0xe3069283);
});

test("only the bytes between start and end count", () => {
  assert.equal(crc32c(Buffer.from("xx123456789yy"), 2, 11), 0xe3069283);
});

/** Bit by bit, as RFC 3720 defines it. */
function byDefinition(bytes: Uint8Array): number {
  let crc = -1;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  return ~crc >>> 0;
}

test("is the checksum of the definition at every length and alignment, long ones too", () => {
  const bytes = Buffer.from(Array.from({ length: 20_000 }, (_, i) => (i * 2654435761) >>> 13));
  for (let length = 0; length < 100; length++) assert.equal(crc32c(bytes, 3, 3 + length), byDefinition(bytes.subarray(3, 3 + length)));
  for (const length of [2047, 2048, 2049, 2052, 3071, 3072, 3079, 4607, 4608, 4615, 19_980])
    for (let start = 0; start < 8; start++)
      assert.equal(
        crc32c(bytes, start, start + length),
        byDefinition(bytes.subarray(start, start + length)),
        `${length} bytes from ${start}`,
      );
});
