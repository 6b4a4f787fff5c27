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
