/** Rows read ahead, over any engine. Run by test/contract/task-state.test.ts. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { EngineName } from "../../state/engines/engine.ts";
import { counter, counters, Harness } from "./task-state-harness.ts";

export function taskStateAheadContract(engine: EngineName): void {
  describe(`rows read ahead on ${engine}`, () => {
    test("a row that was read ahead is what a get would have read, and absent ones are known to be", async (t) => {
      const harness = await Harness.make(t, engine);
      harness.state.store(counters).put("a", counter(1));
      harness.commit();
      await harness.state.checkpoint();
      harness.state.rollback();
      const store = harness.state.store(counters);
      store.prefetch("a");
      store.prefetch("b");
      harness.state.startReadAhead();
      await harness.state.rows.readAhead.settled();
      const before = harness.state.stats()[0].misses;
      assert.deepEqual(store.get("a"), counter(1));
      assert.equal(store.get("b"), undefined);
      assert.equal(harness.state.stats()[0].misses, before, "nothing was read again");
    });

    test("a row that changes while it is read ahead is not the older one", async (t) => {
      const harness = await Harness.make(t, engine);
      const { state } = harness;
      const store = state.store(counters);
      harness.state.store(counters).put("a", counter(1));
      harness.commit();
      await state.checkpoint();
      state.rollback();
      // Uncommitted, committed, and checkpointed meanwhile: each is newer than what the engine was asked for.
      store.prefetch("a");
      state.startReadAhead();
      store.put("a", counter(2));
      await state.rows.readAhead.settled();
      assert.equal(store.get("a")?.count, 2);
      harness.commit();
      state.rollback();
      store.prefetch("a");
      state.startReadAhead();
      await state.rows.readAhead.settled();
      assert.equal(store.get("a")?.count, 2);
      state.rollback();
      store.prefetch("a");
      state.startReadAhead();
      await Promise.all([state.checkpoint(), state.rows.readAhead.settled()]);
      assert.equal(store.get("a")?.count, 2);
    });
  });
}
