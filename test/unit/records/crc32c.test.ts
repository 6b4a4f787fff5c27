import assert from "node:assert/strict";
import { test } from "node:test";
import { crc32cByTables } from "../../../eventlog/records/crc32c-tables.ts";
import { crc32c } from "../../../eventlog/records/crc32c.ts";

/** Bit by bit, as RFC 3720 defines it. */
function byDefinition(bytes: Uint8Array): number {
  let crc = -1;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  return ~crc >>> 0;
}

for (const [name, checksum] of [
  ["crc32c", crc32c],
  ["crc32c without its package", crc32cByTables],
] as const) {
  const ofAll = (bytes: Uint8Array): number => checksum(bytes, 0, bytes.length);

  test(`${name} equals the vectors of RFC 3720, appendix B.4`, () => {
    assert.equal(ofAll(Buffer.alloc(32)), 0x8a9136aa);
    assert.equal(ofAll(Buffer.alloc(32, 0xff)), 0x62a8ab43);
    assert.equal(ofAll(Buffer.from(Array.from({ length: 32 }, (_, i) => i))), 0x46dd794e);
    assert.equal(ofAll(Buffer.from("123456789")), 0xe3069283);
  });

  test(`${name}: only the bytes between start and end count`, () => {
    assert.equal(checksum(Buffer.from("xx123456789yy"), 2, 11), 0xe3069283);
    const long = Buffer.concat([Buffer.from("x"), Buffer.alloc(1_000, 7), Buffer.from("yy")]);
    assert.equal(checksum(long, 1, 1_001), byDefinition(Buffer.alloc(1_000, 7)));
  });

  test(`${name} is the checksum of the definition at every length and alignment, long ones too`, () => {
    const bytes = Uint8Array.from({ length: 20_000 }, (_, i) => (i * 2654435761) >>> 13);
    for (let length = 0; length < 300; length++) assert.equal(checksum(bytes, 3, 3 + length), byDefinition(bytes.subarray(3, 3 + length)));
    for (const length of [2047, 2048, 2049, 2052, 3071, 3072, 3079, 4607, 4608, 4615, 19_980])
      for (let start = 0; start < 8; start++)
        assert.equal(
          checksum(bytes, start, start + length),
          byDefinition(bytes.subarray(start, start + length)),
          `${length} bytes from ${start}`,
        );
  });
}
