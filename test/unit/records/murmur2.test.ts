import assert from "node:assert/strict";
import { test } from "node:test";
import { murmur2, partitionForKey } from "../../../eventlog/records/murmur2.ts";

/** From Kafka's UtilsTest.testMurmur2. */
const VECTORS: readonly (readonly [string, number])[] = [
  ["21", -973932308],
  ["foobar", -790332482],
  ["a-little-bit-long-string", -985981536],
  ["a-little-bit-longer-string", -1486304829],
  ["lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971],
  ["abc", 479470107],
];

test("murmur2 equals Kafka's own test vectors", () => {
  for (const [text, hash] of VECTORS) assert.equal(murmur2(Buffer.from(text)), hash, text);
});

test("only the bytes between start and end are hashed", () => {
  assert.equal(murmur2(Buffer.from("xxfoobaryy"), 2, 8), -790332482);
});

test("a negative hash gives the partition of its lower 31 bits, as Utils.toPositive", () => {
  assert.equal(partitionForKey(Buffer.from("21"), 0, 2, 7), (-973932308 & 0x7fffffff) % 7);
});
