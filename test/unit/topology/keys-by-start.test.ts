import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { KeysByStart } from "../../../topology/keys-by-start.ts";

test("starts come out earliest first, each with its keys in the order in which they were added, each once", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.integer({ min: -5, max: 5 }), fc.constantFrom("a", "b", "c"))), (added) => {
      const keys = new KeysByStart<string>();
      for (const [start, key] of added) keys.add(key, start);
      const starts = [...new Set(added.map(([start]) => start))].sort((a, b) => a - b);
      const expected = starts.map((start) => [start, [...new Set(added.filter(([s]) => s === start).map(([, key]) => key))]]);
      assert.equal(keys.latest, starts.at(-1) ?? -Infinity);
      assert.deepEqual(
        [...keys].map(([start, set]) => [start, [...set]]),
        expected,
      );
      const taken: unknown[] = [];
      while (keys.earliest !== Infinity) taken.push([keys.earliest, [...keys.takeEarliest()]]);
      assert.deepEqual(taken, expected);
    }),
  );
});
