import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { DueHeap, type Due } from "../../../bridge/due-heap.ts";

test("whatever is scheduled, moved and removed, the earliest is on top", () => {
  const step = fc.record({ item: fc.nat(15), ts: fc.nat(50), remove: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const items: Due[] = Array.from({ length: 16 }, () => ({ dueTs: 0, dueOrder: 0, heapIndex: -1 }));
      const model = new Map<Due, number>();
      const heap = new DueHeap<Due>();
      for (const { item, ts, remove } of steps) {
        if (remove) {
          heap.remove(items[item]);
          model.delete(items[item]);
        } else {
          heap.schedule(items[item], ts);
          model.set(items[item], ts);
        }
        assert.equal(heap.size, model.size);
        assert.equal(heap.peek()?.dueTs ?? -1, model.size === 0 ? -1 : Math.min(...model.values()));
      }
    }),
  );
});

test("of one time whoever was scheduled first is first", () => {
  const items: Due[] = Array.from({ length: 9 }, () => ({ dueTs: 0, dueOrder: 0, heapIndex: -1 }));
  const heap = new DueHeap<Due>();
  for (const item of items) heap.schedule(item, 5);
  heap.schedule(items[0], 5);
  const out: number[] = [];
  for (let item = heap.peek(); item !== undefined; item = heap.peek()) {
    out.push(items.indexOf(item));
    heap.remove(item);
  }
  assert.deepEqual(out, [1, 2, 3, 4, 5, 6, 7, 8, 0]);
});
