import assert from "node:assert/strict";
import { test } from "node:test";
import { Segments } from "../../../bridge/edge/segments.ts";

const KIB = 1024;
const NOW = Date.UTC(2026, 5, 1);
const HOUR = 3_600_000;

test("batches are put together into segments, by size and by time, so that a store of gigabytes takes little memory", () => {
  const segments = new Segments(20 * HOUR);
  for (let n = 0; n < 1000; n++) segments.add(n, n + 1, 16 * KIB, NOW);
  assert.equal(segments.count, Math.ceil(1000 / 16));
  assert.equal(segments.bytes, 1000 * 16 * KIB);
  segments.add(1000, 1001, KIB, NOW + 2 * HOUR);
  assert.equal(segments.count, Math.ceil(1000 / 16) + 1, "a twentieth of the greatest age later");
});

test("only whole segments before an offset are forgotten", () => {
  const segments = new Segments(HOUR);
  for (let n = 0; n < 32; n++) segments.add(n, n + 1, 16 * KIB, NOW);
  segments.removeBefore(15);
  assert.equal(segments.bytes, 512 * KIB);
  segments.removeBefore(16);
  assert.equal(segments.bytes, 256 * KIB);
  assert.equal(segments.oldest?.baseOffset, 16);
  segments.removeBefore(32);
  assert.deepEqual([segments.bytes, segments.count, segments.oldest], [0, 0, undefined]);
});

test("room is made by the oldest segments, as many as it takes", () => {
  const segments = new Segments(HOUR);
  assert.equal(segments.endOfOldest(1), undefined);
  for (let n = 0; n < 48; n++) segments.add(n, n + 1, 16 * KIB, NOW);
  assert.equal(segments.endOfOldest(1), 16);
  assert.equal(segments.endOfOldest(257 * KIB), 32);
  assert.equal(segments.endOfOldest(1e9), 48);
});

test("a segment is old when its newest message is; a clock that was not set yet makes nothing old, but what is behind it may", () => {
  const segments = new Segments(20 * HOUR);
  segments.add(0, 1, KIB, 1_000);
  assert.equal(segments.endOfOlder(NOW), undefined, "1970");
  segments.add(1, 2, KIB, NOW);
  segments.add(2, 3, KIB, NOW + 2 * HOUR);
  assert.equal(segments.endOfOlder(NOW), undefined);
  assert.equal(segments.endOfOlder(NOW + 1), 2);
  assert.equal(segments.endOfOlder(NOW + 2 * HOUR + 1), 3);
});
