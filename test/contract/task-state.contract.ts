/** What TaskState promises, over any engine. Run by test/contract/task-state.test.ts. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { EngineName } from "../../state/engines/engine.ts";
import { StateError } from "../../state/errors.ts";
import { serdes } from "../../state/serdes.ts";
import { keyValueStore, windowStore } from "../../state/store.ts";
import { counter, counterRows, counters, Harness, scratch, specs, windowRows, windows } from "./task-state-harness.ts";
import type { Counter } from "./task-state-harness.ts";

const hasCode = (code: string) => (error: unknown) => error instanceof StateError && error.code === code;

export function taskStateContract(engine: EngineName): void {
  const durable = engine !== "memory";

  describe(`task state on ${engine}`, () => {
    test("a store is the same instance each time, and get returns the object that was put", async (t) => {
      const { state } = await Harness.make(t, engine);
      const store = state.store(counters);
      const value = counter(1);
      store.put("a", value);
      assert.equal(state.store(counters), store);
      assert.equal(store.get("a"), value);
      assert.equal(store.get("b"), undefined);
      assert.equal(state.dirtyRows, 1);
      assert.ok(state.dirtyBytes > 0);
    });

    test("a freeze encodes each dirty row once, and what is mutated after belongs to the next", async (t) => {
      const harness = await Harness.make(t, engine);
      const store = harness.state.store(counters);
      const value = counter(1);
      store.put("a", value);
      value.count = 2;
      store.put("a", value);
      harness.freeze();
      assert.equal(harness.state.dirtyRows, 0);
      value.count = 3;
      store.put("a", value);
      harness.commitOldest();
      assert.equal(harness.changelogs.get("counters")?.length, 1);
      assert.deepEqual(await harness.state.getCommitted("counters", "a"), counter(2));
      assert.equal(store.get("a")?.count, 3);
      harness.commit();
      assert.deepEqual(await harness.state.getCommitted("counters", "a"), counter(3));
    });

    test("queries get committed values as fresh objects, never dirty or frozen ones", async (t) => {
      const harness = await Harness.make(t, engine);
      const { state } = harness;
      state.store(counters).put("a", counter(1));
      assert.equal(await state.getCommitted("counters", "a"), undefined);
      harness.freeze();
      assert.equal(await state.getCommitted("counters", "a"), undefined);
      assert.deepEqual(await state.scanCommitted("counters", { limit: 10 }), []);
      harness.commitOldest();
      const value = (await state.getCommitted("counters", "a")) as Counter;
      assert.deepEqual(value, counter(1));
      assert.notEqual(value, state.store(counters).get("a"));
      await state.checkpoint();
      assert.deepEqual(await state.getCommitted("counters", "a"), counter(1));
    });

    test("rollback brings back what was committed: dirty, frozen and mutated-but-not-put values go", async (t) => {
      const harness = await Harness.make(t, engine);
      const store = harness.state.store(counters);
      for (const key of ["in-memory", "unput", "deleted"]) store.put(key, counter(1));
      harness.commit();
      await harness.state.checkpoint();
      store.put("in-memory", counter(2));
      harness.commit();
      store.put("in-memory", counter(3));
      store.delete("deleted");
      harness.freeze();
      store.put("in-memory", counter(4));
      store.put("new", counter(1));
      (store.get("unput") as Counter).count = 99;
      harness.rollback();
      assert.equal(harness.state.dirtyRows, 0);
      assert.equal(harness.state.dirtyBytes, 0);
      assert.deepEqual(await counterRows(harness.state), ["deleted=1", "in-memory=2", "unput=1"]);
      assert.equal(store.get("unput")?.count, 1);
      assert.equal(store.get("new"), undefined);
    });

    test("committed() takes frozen sets in order, once, and not after a rollback", async (t) => {
      const { state } = await Harness.make(t, engine);
      const ignore = (): void => undefined;
      const first = state.freeze(ignore);
      const second = state.freeze(ignore);
      assert.throws(() => state.committed(second, new Map()));
      state.committed(first, new Map());
      assert.throws(() => state.committed(first, new Map()));
      state.rollback();
      assert.throws(() => state.committed(second, new Map()));
    });

    test("a serde that throws in freeze leaves the rows dirty", async (t) => {
      const harness = await Harness.make(t, engine);
      const store = harness.state.store(counters);
      store.put("a", counter(1));
      store.put("b", { count: -1, note: "" });
      assert.throws(() => harness.freeze(), RangeError);
      assert.equal(harness.state.dirtyRows, 2);
      store.put("b", counter(2));
      harness.commit();
      assert.deepEqual(await counterRows(harness.state), ["a=1", "b=2"]);
    });

    test("deletes are tombstones in the changelog, and an unknown key gets one without a read", async (t) => {
      const harness = await Harness.make(t, engine);
      const store = harness.state.store(counters);
      store.put("a", counter(1));
      harness.commit();
      await harness.state.checkpoint();
      harness.rollback();
      store.delete("a");
      assert.equal(store.get("a"), undefined);
      harness.commit();
      assert.equal(harness.changelogs.get("counters")?.at(-1)?.value, null);
      store.delete("a");
      assert.equal(harness.state.dirtyRows, 0, "a row known to be absent needs no tombstone");
      await harness.state.checkpoint();
      assert.deepEqual(await counterRows(harness.state), []);
    });

    test("windows of a key are rows of their own, ordered by start, and deleted ones leave the cache", async (t) => {
      const harness = await Harness.make(t, engine);
      const store = harness.state.store(windows);
      for (const start of [30_000, 10_000, 0, 1_767_225_600_000]) store.put("a", start, counter(start));
      store.put("ab", 20_000, counter(1));
      harness.commit();
      const all = ["a@0=0", "a@10000=10000", "a@30000=30000", "a@1767225600000=1767225600000", "ab@20000=1"];
      assert.deepEqual(await windowRows(harness.state), all);
      await harness.state.checkpoint();
      harness.rollback();
      assert.deepEqual(await windowRows(harness.state), all);
      assert.equal(store.fetch("a", 10_000)?.count, 10_000);
      assert.equal(store.fetch("a", 20_000), undefined);
      store.delete("a", 10_000);
      harness.commit();
      assert.equal(harness.state.stats().find(({ name }) => name === "windows")?.cachedRows, 1, "only the absent 20000");
      assert.throws(() => store.put("a", -1, counter(1)), RangeError);
      assert.throws(() => store.fetch("a", 0.5), RangeError);
    });

    test("keys that are no strings are told apart by their bytes", async (t) => {
      const byNumber = keyValueStore<number, string>({ name: "by-number", key: serdes.float64, value: serdes.string });
      const byBytes = windowStore<Uint8Array, string>({ name: "by-bytes", key: serdes.bytes, value: serdes.string });
      const harness = await Harness.make(t, engine, { stores: [byNumber, byBytes] });
      const numbers = harness.state.store(byNumber);
      const bytes = harness.state.store(byBytes);
      numbers.put(1, "one");
      numbers.put(2.5, "two and a half");
      bytes.put(Buffer.from([1, 255]), 7, "x");
      harness.commit();
      await harness.state.checkpoint();
      harness.rollback();
      assert.equal(numbers.get(2.5), "two and a half");
      assert.equal(numbers.get(3), undefined);
      assert.equal(bytes.fetch(Buffer.from([1, 255]), 7), "x");
      const rows: unknown[] = [];
      for await (const row of numbers.scan()) rows.push(row);
      assert.deepEqual(rows, [
        [1, "one"],
        [2.5, "two and a half"],
      ]);
      assert.throws(() => numbers.get("1" as unknown as number), TypeError);
    });

    test("eviction keeps the cache within its bytes, and evicted rows come back", async (t) => {
      const cacheBytes = 64 << 10;
      const harness = await Harness.make(t, engine, { cacheBytes });
      const store = harness.state.store(counters);
      for (let i = 0; i < 3_000; i++) {
        store.put(`key-${i}`, counter(i));
        if (i % 100 === 99) harness.commit();
      }
      assert.ok(harness.state.cache.bytes <= cacheBytes, `${harness.state.cache.bytes}`);
      for (let i = 0; i < 3_000; i += 7) assert.equal(store.get(`key-${i}`)?.count, i);
      await harness.state.checkpoint();
      for (let i = 0; i < 3_000; i += 7) assert.equal(store.get(`key-${i}`)?.count, i);
      assert.ok(harness.state.cache.bytes <= cacheBytes);
      const stats = harness.state.stats()[0];
      assert.ok(stats !== undefined && stats.evictions > 0 && stats.misses > 0 && stats.cachedBytes <= cacheBytes);
    });

    test("dirty and in-flight rows are never evicted", async (t) => {
      const harness = await Harness.make(t, engine, { cacheBytes: 1 });
      const store = harness.state.store(counters);
      for (let i = 0; i < 200; i++) store.put(`dirty-${i}`, counter(i));
      harness.freeze();
      for (let i = 0; i < 200; i++) store.put(`later-${i}`, counter(i));
      for (let i = 0; i < 50; i++) store.get(`absent-${i}`);
      for (let i = 0; i < 200; i++) assert.equal(store.get(`dirty-${i}`)?.count, i);
      for (let i = 0; i < 200; i++) assert.equal(store.get(`later-${i}`)?.count, i);
    });

    test("a key known to be absent is not looked up again", async (t) => {
      const { state } = await Harness.make(t, engine);
      state.store(counters).get("a");
      state.store(counters).get("a");
      const stats = state.stats()[0];
      assert.deepEqual([stats?.misses, stats?.hits], [1, 1]);
    });

    test("a store without a changelog emits nothing and starts empty", async (t) => {
      const harness = await Harness.make(t, engine);
      harness.state.store(scratch).put("a", "1");
      harness.commit();
      await harness.state.checkpoint();
      harness.rollback();
      assert.equal(harness.state.store(scratch).get("a"), "1");
      assert.deepEqual(harness.changelogs.get("scratch"), []);
      await harness.crash();
      assert.equal(harness.state.store(scratch).get("a"), undefined);
    });

    test("corrupt rows are `corrupt-row`, rows of a later format are `incompatible-schema`", async (t) => {
      const { state } = await Harness.make(t, engine);
      const rows: [string, number[], string][] = [
        ["cut", [1, 5, 200], "corrupt-row"],
        ["long", [1, 5, 0, 0], "corrupt-row"],
        ["empty", [], "corrupt-row"],
        ["later", [2, 5, 0], "incompatible-schema"],
      ];
      for (const [name, value] of rows) {
        const bytes = Buffer.concat([Buffer.from(name), Buffer.from(value)]);
        state.restore("counters", bytes, 0, name.length, name.length, bytes.length);
      }
      for (const flushed of [false, true]) {
        if (flushed) await state.flushRestored(new Map());
        for (const [name, , code] of rows) {
          assert.throws(() => state.store(counters).get(name), hasCode(code), name);
          await assert.rejects(state.getCommitted("counters", name), hasCode(code), name);
        }
      }
    });

    test("calls on a closed state fail with `closed`, and a checkpoint under way ends first", async (t) => {
      const harness = await Harness.make(t, engine);
      const { state } = harness;
      const store = state.store(counters);
      store.put("a", counter(1));
      harness.commit();
      const checkpoint = state.checkpoint();
      await state.close();
      await checkpoint;
      assert.throws(() => store.get("a"), hasCode("closed"));
      assert.throws(() => store.put("a", counter(1)), hasCode("closed"));
      assert.throws(() => state.freeze(() => undefined), hasCode("closed"));
      await assert.rejects(state.checkpoint(), hasCode("closed"));
      await assert.rejects(state.getCommitted("counters", "a"), hasCode("closed"));
      await assert.rejects(counterRows(state), hasCode("closed"));
    });

    test("a wiped state opens empty", async (t) => {
      const harness = await Harness.make(t, engine);
      harness.state.store(counters).put("a", counter(1));
      harness.commit();
      await harness.state.checkpoint();
      await harness.state.wipe();
      await harness.open();
      assert.equal(harness.state.checkpointPosition("counters"), undefined);
      assert.deepEqual(await counterRows(harness.state), []);
    });

    if (!durable) return;

    test("after a crash the engine shows exactly the last checkpoint, and the changelog brings the rest", async (t) => {
      const harness = await Harness.make(t, engine);
      const store = harness.state.store(counters);
      store.put("a", counter(1));
      store.put("b", counter(1));
      harness.commit();
      await harness.state.checkpoint();
      store.put("a", counter(2));
      store.delete("b");
      store.put("c", counter(2));
      harness.commit();
      store.put("a", counter(3));
      harness.freeze();
      store.put("d", counter(4));
      await harness.crash();
      assert.equal(harness.state.checkpointPosition("counters"), 2);
      assert.deepEqual(await counterRows(harness.state), ["a=1", "b=1"]);
      assert.equal(await harness.restore(), 3);
      assert.deepEqual(await counterRows(harness.state), ["a=2", "c=2"]);
    });

    test("rows committed during a checkpoint wait for the next, and their positions with them", async (t) => {
      const harness = await Harness.make(t, engine);
      const store = harness.state.store(counters);
      store.put("a", counter(1));
      harness.commit();
      const checkpoint = harness.state.checkpoint();
      store.put("a", counter(2));
      store.put("b", counter(2));
      harness.commit();
      await checkpoint;
      assert.ok(harness.state.uncheckpointedBytes > 0);
      assert.equal(harness.state.checkpointPosition("counters"), 1);
      await harness.crash();
      assert.deepEqual(await counterRows(harness.state), ["a=1"]);
    });

    test("positions alone are checkpointed too: a commit may change no row", async (t) => {
      const harness = await Harness.make(t, engine);
      harness.commit();
      harness.state.committed(
        harness.state.freeze(() => undefined),
        new Map([["counters", 42]]),
      );
      await harness.state.checkpoint();
      await harness.crash();
      assert.equal(harness.state.checkpointPosition("counters"), 42);
    });

    test("the identity of another task is `incompatible-schema`, and so is another kind of store", async (t) => {
      const harness = await Harness.make(t, engine);
      await harness.close();
      await assert.rejects(harness.open({ identity: "app 0_1" }), hasCode("incompatible-schema"));
      const wrongKind = windowStore<string, Counter>({ name: "counters", key: serdes.string, value: counters.value as never });
      await assert.rejects(harness.open({ stores: [wrongKind] }), hasCode("incompatible-schema"));
      await harness.open();
    });

    test("stores that are added or reordered do not renumber the others", async (t) => {
      const harness = await Harness.make(t, engine);
      harness.state.store(counters).put("a", counter(1));
      harness.state.store(windows).put("a", 5, counter(2));
      harness.commit();
      await harness.state.checkpoint();
      await harness.close();
      const added = keyValueStore<string, string>({ name: "added", key: serdes.string, value: serdes.string });
      await harness.open({ stores: [added, ...[...specs].reverse()] });
      assert.deepEqual([await counterRows(harness.state), await windowRows(harness.state)], [["a=1"], ["a@5=2"]]);
      assert.equal(harness.state.store(added).get("a"), undefined);
      assert.equal(harness.state.checkpointPosition("windows"), 1);
    });

    test("a checkpoint older than the changelog's tombstones is not built upon", async (t) => {
      const harness = await Harness.make(t, engine);
      harness.state.store(counters).put("a", counter(1));
      harness.commit();
      await harness.state.checkpoint();
      await harness.close();
      const days = 24 * 3_600_000;
      const writtenAt = Date.now();
      t.mock.timers.enable({ apis: ["Date"], now: writtenAt + 5 * days });
      await harness.open();
      assert.equal(harness.state.checkpointPosition("counters"), 1);
      await harness.close();
      t.mock.timers.setTime(writtenAt + 7 * days);
      await harness.open();
      assert.equal(harness.state.checkpointPosition("counters"), undefined);
      assert.deepEqual(await counterRows(harness.state), []);
    });
  });
}
