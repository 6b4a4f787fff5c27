import assert from "node:assert/strict";
import { test } from "node:test";
import { compareRecords } from "../../faults/compare-records.ts";

test("lost, doubled and foreign records are told apart, each counted as often as it happened", () => {
  const { examples, ...counts } = compareRecords(["a", "a", "b", "c", "c", "c"], ["c", "a", "b", "b", "b", "x", "a"]);
  assert.deepEqual(counts, { expected: 6, lost: 2, doubled: 2, foreign: 1 });
  assert.deepEqual(examples, ["doubled: b", "doubled: b", "foreign: x", "lost: c"]);
  assert.deepEqual(compareRecords(["b", "a"], ["a", "b"]), { expected: 2, lost: 0, doubled: 0, foreign: 0, examples: [] });
});
