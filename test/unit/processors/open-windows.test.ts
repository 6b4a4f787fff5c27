import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { OpenWindows, STUB } from "../../../processors/open-windows.ts";
import { WindowRow } from "../../../processors/window-row.ts";

interface Other {
  start: number;
  since: number;
  isStub: boolean;
}

test("whatever is inserted, used, made a stub and removed, the other windows are those of a plain list, by start", () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant("insert"), start: fc.integer({ min: -5, max: 20 }), isStub: fc.boolean() }),
    fc.record({ kind: fc.constantFrom("used", "stub", "remove"), start: fc.nat(20), isStub: fc.constant(false) }),
    fc.record({ kind: fc.constant("forget stubs"), start: fc.constant(0), isStub: fc.constant(false) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const windows = new OpenWindows(10);
      let model: Other[] = [];
      for (const [since, { kind, start, isStub }] of steps.entries()) {
        const index = model.length === 0 ? -1 : Math.abs(start) % model.length;
        if (kind === "insert" && !model.some((other) => other.start === start)) {
          windows.insert(start, since, isStub ? STUB : 0);
          model = [...model, { start, since, isStub }].sort((a, b) => a.start - b.start);
        } else if (kind === "forget stubs") {
          windows.forgetStubs();
          model = model.filter((other) => !other.isStub);
        } else if (index >= 0 && kind === "remove") {
          windows.remove(index);
          model.splice(index, 1);
        } else if (index >= 0 && kind === "used") {
          windows.used(index, since);
          model[index].since = since;
        } else if (index >= 0 && kind === "stub") {
          windows.becomeStub(index);
          model[index].isStub = true;
        }
        const got = Array.from({ length: windows.count }, (_, i) => ({
          start: windows.start(i),
          since: windows.since(i),
          isStub: windows.isStub(i),
        }));
        assert.deepEqual(got, model);
        for (const [i, other] of model.entries()) assert.equal(windows.find(other.start), i);
        assert.equal(windows.find(99), -1);
      }
      assert.deepEqual([windows.dueAt, windows.latestStart, windows.latest], [0, NaN, undefined]);
    }),
  );
});

test("a row that becomes another window's has nothing left of the first, and one of other metrics is left alone", () => {
  const names = ["a", "b"];
  const row = new WindowRow(names, 5);
  row.add(names, [1, 2], 100);
  row.add(names, [3, -7], 90);
  assert.equal(row.restart(["a", "b"], 6), false, "other names, as far as a look at the reference tells");
  assert.equal(row.restart(names, 6), true);
  row.add(names, [10, 20], 200);
  const fresh = new WindowRow(names, 6);
  fresh.add(names, [10, 20], 200);
  assert.deepEqual([row.aggregates(), row.lastReceiveTs, row.stats], [fresh.aggregates(), fresh.lastReceiveTs, fresh.stats]);
  row.closed = true;
  assert.equal(row.restart(names, 7), false);
});
