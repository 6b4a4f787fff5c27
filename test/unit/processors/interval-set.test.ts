import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { IntervalSet } from "../../../processors/interval-set.ts";

function runs(set: IntervalSet): [number, number][] {
  return Array.from({ length: set.runs }, (_, index) => [set.runFrom(index), set.runTo(index)]);
}

test("an interval set answers as a Set of numbers does, in as few runs as can be", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(60), { maxLength: 120 }), (values) => {
      const set = new IntervalSet();
      const model = new Set<number>();
      for (const value of values) {
        assert.equal(set.contains(value), model.has(value));
        assert.equal(set.add(value), !model.has(value));
        model.add(value);
        assert.equal(set.size, model.size);
        assert.equal(set.min, Math.min(...model));
        assert.equal(set.max, Math.max(...model));
        assert.equal(set.missing, set.max - set.min + 1 - model.size);
      }
      const covered = runs(set).flatMap(([from, to]) => Array.from({ length: to - from + 1 }, (_, i) => from + i));
      assert.deepEqual(
        covered,
        [...model].sort((a, b) => a - b),
      );
      for (let i = 1; i < set.runs; i++) assert.ok(set.runFrom(i) > set.runTo(i - 1) + 1, "neighbours are joined");
    }),
  );
});

test("closing the lowest gap joins the two lowest runs and says how many numbers that gave up", () => {
  const set = IntervalSet.of([
    [0, 4],
    [10, 10],
    [20, 25],
  ]);
  assert.equal(set.closeLowestGap(), 5);
  assert.deepEqual(runs(set), [
    [0, 10],
    [20, 25],
  ]);
  assert.equal(set.missing, 9);
  assert.equal(set.closeLowestGap(), 9);
  assert.equal(set.closeLowestGap(), 0);
});

test("numbers up to 2^53-1 are held exactly", () => {
  const set = new IntervalSet();
  assert.ok(set.add(Number.MAX_SAFE_INTEGER));
  assert.ok(!set.add(Number.MAX_SAFE_INTEGER));
  assert.ok(set.add(0));
  assert.equal(set.missing, Number.MAX_SAFE_INTEGER - 1);
});

test("runs out of order are refused", () => {
  assert.throws(
    () =>
      IntervalSet.of([
        [5, 6],
        [7, 8],
      ]),
    RangeError,
  );
  assert.throws(() => IntervalSet.of([[5, 4]]), RangeError);
});
