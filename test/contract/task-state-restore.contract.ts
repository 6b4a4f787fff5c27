/** What a restore of a TaskState promises, over any engine. Run by test/contract/task-state.test.ts. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { EngineName } from "../../state/engines/engine.ts";
import { counter, counterRows, counters, Harness, windowRows, windows } from "./task-state-harness.ts";

export function taskStateRestoreContract(engine: EngineName): void {
  describe(`restore of task state on ${engine}`, () => {
    test("a restore from the changelog brings every committed row back", async (t) => {
      const harness = await Harness.make(t, engine);
      const store = harness.state.store(counters);
      for (let round = 0; round < 5; round++) {
        for (let i = 0; i < 100; i++) {
          if ((i + round) % 6 === 0) store.delete(`k${i}`);
          else store.put(`k${i}`, counter(round * 1_000 + i));
          harness.state.store(windows).put(`k${i % 10}`, i * 10, counter(round));
        }
        harness.commit();
      }
      const before = [await counterRows(harness.state), await windowRows(harness.state)];
      await harness.close();
      await harness.open({ directory: `${harness.options.directory}/fresh` });
      assert.equal(harness.state.checkpointPosition("counters"), undefined);
      assert.deepEqual(await counterRows(harness.state), []);
      await harness.restore(64);
      assert.deepEqual([await counterRows(harness.state), await windowRows(harness.state)], before);
      assert.equal(harness.state.checkpointPosition("counters"), 448);
      await harness.state.checkpoint();
      assert.equal(harness.state.restoredBytes, 0);
      assert.deepEqual([await counterRows(harness.state), await windowRows(harness.state)], before);
      assert.equal(harness.state.checkpointPosition("counters"), 500);
    });

    test("rows that come and go in a restore take the room of the live ones alone, and those in the engine are deleted", async (t) => {
      const { state } = await Harness.make(t, engine);
      const restore = (key: string, value: string | undefined): void => {
        const bytes = Buffer.concat([Buffer.from(key), Buffer.from([1, 5, value?.length ?? 0]), Buffer.from(value ?? "")]);
        const valueStart = value === undefined ? -1 : key.length;
        state.restore("counters", bytes, 0, key.length, valueStart, value === undefined ? -1 : bytes.length);
      };
      const name = (n: number, i: number): string => `row-${n % 7}-${"longer".repeat(10 * (i % 3))}-${i}`;
      const round = (n: number): void => {
        for (let i = 0; i < 10; i++) restore(name(n, i), "x".repeat(n % 60));
        for (let i = 0; i < 10; i++) if (i !== n % 10) restore(name(n, i), undefined);
      };
      const found = async (): Promise<Map<string, string>> => {
        const rows = new Map<string, string>();
        for await (const [key, value] of state.store(counters).scan()) rows.set(key, value.note);
        return rows;
      };
      const long = "longer than all of the row whose place it might take".repeat(5);
      restore("gone", "");
      restore("stays", "2");
      restore("gone", undefined);
      restore(long, "3");
      const both = [long, "stays"];
      assert.deepEqual([...(await found())].sort(), [
        [both[0], "3"],
        [both[1], "2"],
      ]);
      for (const key of both) restore(key, undefined);
      const live = new Map<string, string>();
      for (let n = 0; n < 60; n++) round(n);
      const bytes = state.restoredBytes;
      for (let n = 60; n < 600; n++) round(n);
      for (let n = 530; n < 600; n++) {
        for (let i = 0; i < 10; i++) live.delete(name(n, i));
        live.set(name(n, n % 10), "x".repeat(n % 60));
      }
      assert.ok(state.restoredBytes <= 2 * bytes, `${state.restoredBytes} bytes after ten times as many rows, ${bytes} before`);
      const sorted = new Map([...live].sort());
      assert.deepEqual(await found(), sorted);
      await state.flushRestored(new Map([["counters", 1]]));
      assert.deepEqual(await found(), sorted);
      for (const key of live.keys()) restore(key, undefined);
      assert.deepEqual(await found(), new Map());
      await state.flushRestored(new Map([["counters", 2]]));
      assert.deepEqual(await found(), new Map());
      restore("after", "y");
      assert.deepEqual(await found(), new Map([["after", "y"]]));
    });

    test("restore into uncommitted work is refused", async (t) => {
      const { state } = await Harness.make(t, engine);
      state.store(counters).put("a", counter(1));
      await assert.rejects(state.flushRestored(new Map([["counters", 1]])), /uncommitted/);
    });
  });
}
