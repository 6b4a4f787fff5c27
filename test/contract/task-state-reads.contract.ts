/** What scans and queries of a TaskState promise, over any engine. Run by test/contract/task-state.test.ts. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { EngineName } from "../../state/engines/engine.ts";
import type { WindowKey } from "../../state/window-store.ts";
import { counter, counterRows, counters, Harness, windows } from "./task-state-harness.ts";

export function taskStateReadsContract(engine: EngineName): void {
  describe(`reads of task state on ${engine}`, () => {
    test("scan merges dirty, frozen, committed, checkpointing and stored rows, in key order", async (t) => {
      const harness = await Harness.make(t, engine);
      const store = harness.state.store(counters);
      for (let i = 0; i < 5_000; i++) store.put(`k${String(i).padStart(5, "0")}`, counter(1));
      harness.commit();
      await harness.state.checkpoint();
      harness.rollback();
      const expected = new Map(Array.from({ length: 5_000 }, (_, i) => [`k${String(i).padStart(5, "0")}`, 1]));
      const change = (from: number, step: number, value: number): void => {
        for (let i = from; i < 5_500; i += step) {
          const key = `k${String(i).padStart(5, "0")}`;
          if (i % 5 === 0) store.delete(key);
          else store.put(key, counter(value));
          if (i % 5 === 0) expected.delete(key);
          else expected.set(key, value);
        }
      };
      change(0, 3, 2);
      harness.commit();
      change(1, 7, 3);
      harness.freeze();
      change(2, 11, 4);
      const checkpoint = harness.state.checkpoint();
      assert.deepEqual(
        await counterRows(harness.state),
        [...expected].sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, value]) => `${key}=${value}`),
      );
      await checkpoint;
    });

    test("a scan goes on while other rows are put, deleted, committed and checkpointed", async (t) => {
      const harness = await Harness.make(t, engine, { cacheBytes: 32 << 10 });
      const store = harness.state.store(counters);
      const key = (i: number): string => `k${String(i).padStart(5, "0")}`;
      for (let i = 0; i < 4_000; i += 2) store.put(key(i), counter(1));
      harness.commit();
      await harness.state.checkpoint();
      const seen: string[] = [];
      for await (const [name, value] of store.scan()) {
        seen.push(name);
        const at = Number(name.slice(1));
        assert.equal(value.count, at % 2 === 0 ? 1 : 2);
        if (at % 100 === 0) {
          store.put(key(at + 201), counter(2));
          store.put(key(at - 201), counter(2));
          if (at % 500 === 0) harness.commit();
          if (at % 1_000 === 0) await harness.state.checkpoint();
        }
      }
      const stable = seen.filter((name) => Number(name.slice(1)) % 2 === 0);
      assert.deepEqual(
        stable,
        Array.from({ length: 2_000 }, (_, i) => key(2 * i)),
      );
      assert.deepEqual(seen, [...new Set(seen)].sort());
    });

    test("scanStored visits each stored row once, as it is at that moment, while rows change and are checkpointed", async (t) => {
      const harness = await Harness.make(t, engine, { cacheBytes: 32 << 10 });
      const store = harness.state.store(counters);
      const key = (i: number): string => `k${String(i).padStart(5, "0")}`;
      const rows = new Map<string, number>();
      const put = (name: string, count: number): void => {
        store.put(name, counter(count));
        rows.set(name, count);
      };
      for (let i = 0; i < 5_000; i++) put(key(i), 1);
      harness.commit();
      await harness.state.checkpoint();
      const visited: string[] = [];
      let isOver = false;
      const scan = store
        .scanStored((name, value) => {
          assert.equal(value.count, rows.get(name), name);
          visited.push(name);
        })
        .finally(() => (isOver = true));
      const deleted = new Set<string>();
      for (let round = 2; !isOver; round++) {
        for (let i = round % 7; i < 5_000; i += 7) {
          if ((i + round) % 5 > 0) {
            if (rows.has(key(i))) put(key(i), round);
          } else {
            store.delete(key(i));
            rows.delete(key(i));
            deleted.add(key(i));
          }
        }
        if (round % 2 === 0) harness.commit();
        if (round % 4 === 0) await harness.state.checkpoint();
        else await new Promise(setImmediate);
      }
      await scan;
      assert.deepEqual(visited, [...new Set(visited)].sort());
      const seen = new Set(visited);
      for (const name of rows.keys()) assert.ok(seen.has(name), name);
      for (const name of visited) assert.ok(rows.has(name) || deleted.has(name), name);
    });

    for (const during of ["a checkpoint", "nothing"])
      test(`scanStored visits rows that wait in memory too, ${during} meanwhile: each once, as it is at that moment, and none that was deleted`, async (t) => {
        const harness = await Harness.make(t, engine, { cacheBytes: 1 });
        const store = harness.state.store(counters);
        const key = (i: number): string => `k${String(i).padStart(5, "0")}`;
        for (let i = 0; i < 3_000; i++) store.put(key(i), counter(1));
        harness.commit();
        await harness.state.checkpoint();
        for (let i = 0; i < 6_000; i += 2) store.put(key(i), counter(2));
        for (let i = 0; i < 6_000; i += 10) store.delete(key(i));
        harness.commit();
        const expected = new Map<string, number>();
        for (let i = 0; i < 6_000; i++) if (i % 10 > 0 && (i < 3_000 || i % 2 === 0)) expected.set(key(i), i % 2 === 0 ? 2 : 1);
        const visited = new Map<string, number>();
        let checkpoint: Promise<void> | undefined;
        await store.scanStored((name, value) => {
          assert.ok(!visited.has(name), name);
          visited.set(name, value.count);
          if (visited.size === 500 && during === "a checkpoint") {
            store.put(key(5_002), counter(3)); // not visited yet, and it is on its way into the engine
            harness.commit();
            checkpoint = harness.state.checkpoint();
          }
        });
        await checkpoint;
        if (during === "a checkpoint") expected.set(key(5_002), 3);
        assert.deepEqual(new Map([...visited].sort()), expected);
      });

    test("scanStored of a window store gives keys and starts; what was never committed is not visited", async (t) => {
      const harness = await Harness.make(t, engine);
      const store = harness.state.store(windows);
      for (const start of [0, 10, 20]) store.put("a", start, counter(start));
      store.put("b", 10, counter(7));
      harness.commit();
      await harness.state.checkpoint();
      store.delete("a", 10);
      store.put("a", 30, counter(30));
      const rows: string[] = [];
      await store.scanStored((key, start, value) => rows.push(`${key}@${start}=${value.count}`));
      assert.deepEqual(rows, ["a@0=0", "a@20=20", "b@10=7"]);
    });

    test("a row that a scan hands out is never older than what was put meanwhile", async (t) => {
      const harness = await Harness.make(t, engine, { cacheBytes: 1 });
      const store = harness.state.store(counters);
      for (const key of ["a", "b", "c"]) store.put(key, counter(1));
      harness.commit();
      await harness.state.checkpoint();
      const values: number[] = [];
      for await (const [key, value] of store.scan()) {
        values.push(value.count);
        if (key === "a") {
          store.put("b", counter(2));
          store.delete("c");
          harness.commit();
          await harness.state.checkpoint();
          for (let i = 0; i < 100; i++) store.get(`evict-${i}`);
        }
      }
      assert.deepEqual(values, [1, 2]);
    });

    test("committed pages by prefix and after add up to all rows, whatever the mix of memory and engine", async (t) => {
      const harness = await Harness.make(t, engine);
      const { state } = harness;
      const store = state.store(counters);
      for (let i = 0; i < 300; i++) {
        store.put(`t${i % 3}|${String(i).padStart(4, "0")}`, counter(i));
        if (i === 120) {
          harness.commit();
          await state.checkpoint();
        }
      }
      for (let i = 0; i < 300; i += 4) store.delete(`t${i % 3}|${String(i).padStart(4, "0")}`);
      harness.commit();
      store.put("t1|uncommitted", counter(1));
      const keys: unknown[] = [];
      let after: unknown;
      for (;;) {
        const page = await state.scanCommitted("counters", { prefix: "t1|", ...(after === undefined ? {} : { after }), limit: 7 });
        assert.ok(page.length <= 7);
        keys.push(...page.map(([key]) => key));
        if (page.length < 7) break;
        after = page.at(-1)?.[0];
      }
      const expected = Array.from({ length: 300 }, (_, i) => i)
        .filter((i) => i % 3 === 1 && i % 4 !== 0)
        .map((i) => `t1|${String(i).padStart(4, "0")}`);
      assert.deepEqual(keys, expected);
      const first = await state.scanCommitted("counters", { prefix: "t1|", after: "a", limit: 1 });
      assert.equal(first[0]?.[0], expected[0], "a position before the prefix");
    });

    test("committed windows are asked for by key and start, and paged by them", async (t) => {
      const harness = await Harness.make(t, engine);
      const { state } = harness;
      for (const start of [10, 20, 30]) state.store(windows).put("dev", start, counter(start));
      state.store(windows).put("other", 10, counter(1));
      harness.commit();
      assert.deepEqual(await state.getCommitted("windows", { key: "dev", windowStart: 20 } satisfies WindowKey), counter(20));
      assert.deepEqual(await state.scanCommitted("windows", { prefix: "dev", after: { key: "dev", windowStart: 10 }, limit: 9 }), [
        [{ key: "dev", windowStart: 20 }, counter(20)],
        [{ key: "dev", windowStart: 30 }, counter(30)],
      ]);
    });

    test("restored rows are seen before they are flushed: a standby answers from them", async (t) => {
      const harness = await Harness.make(t, engine);
      harness.state.store(counters).put("a", counter(1));
      harness.commit();
      const record = harness.changelogs.get("counters")?.[0];
      assert.ok(record !== undefined && record.value !== null);
      await harness.close();
      await harness.open({ directory: `${harness.options.directory}/standby` });
      const bytes = Buffer.concat([record.key, record.value]);
      harness.state.restore("counters", bytes, 0, record.key.length, record.key.length, bytes.length);
      bytes.fill(0);
      assert.ok(harness.state.restoredBytes > 0);
      assert.deepEqual(await harness.state.getCommitted("counters", "a"), counter(1));
    });

    test("ranges keep to from and to beside prefix and after, and windows of a key to their times", async (t) => {
      const harness = await Harness.make(t, engine);
      const { state } = harness;
      for (const key of ["a", "ab", "b", "c"]) state.store(counters).put(key, counter(1));
      for (const start of [0, 1_000, 2_000, 3_000]) for (const key of ["a", "ab"]) state.store(windows).put(key, start, counter(start));
      harness.commit();
      await state.checkpoint();
      state.store(counters).put("bb", counter(1));
      state.store(windows).delete("a", 1_000);
      harness.commit();
      state.store(counters).put("uncommitted", counter(1));
      const keys = async (options: object): Promise<unknown[]> =>
        (await state.scanCommitted("counters", { limit: 10, ...options })).map(([key]) => key);
      assert.deepEqual(await keys({ from: "ab", to: "c" }), ["ab", "b", "bb"]);
      assert.deepEqual(await keys({ prefix: "b", from: "a", to: "bb" }), ["b"]);
      assert.deepEqual(await keys({ from: "ab", after: "b" }), ["bb", "c"]);
      assert.deepEqual(await keys({ from: "ab", after: "a", limit: 1 }), ["ab"]);
      assert.deepEqual(await keys({ from: "c", to: "a" }), []);
      const starts = async (from: number, to: number, limit = 10): Promise<number[]> =>
        (await state.fetchCommitted("windows", "a", { from, to, limit })).map(([start]) => start);
      assert.deepEqual(await starts(0, 3_000), [0, 2_000]);
      assert.deepEqual(await starts(1, Number.MAX_SAFE_INTEGER, 1), [2_000]);
      assert.deepEqual(await starts(3_000, 3_000), []);
      await assert.rejects(state.fetchCommitted("counters", "a", { from: 0, to: 1, limit: 1 }), { code: "incompatible-schema" });
    });
  });
}
