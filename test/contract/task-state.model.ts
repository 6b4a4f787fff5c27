/** Random commands on a TaskState against the plainest model there is: maps. Run by test/contract/task-state-model.test.ts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { EngineName } from "../../state/engines/engine.ts";
import type { RowHandle } from "../../state/store.ts";
import type { Counter } from "./task-state-harness.ts";
import { counterRows, counters, Harness, windowRows, windows } from "./task-state-harness.ts";
import { assertFetch, assertRange, fetchQuery, KEYS, rangeQuery, rowName, rowText, sortedRows, STARTS } from "./task-state-ranges.model.ts";
import type { RowName, Rows } from "./task-state-ranges.model.ts";

/** Small enough that nearly every clean entry is evicted. */
const TINY_CACHE_BYTES = 900;

const command = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ type: fc.constant("put" as const), row: rowName, count: fc.nat(1_000_000), note: fc.string({ maxLength: 20 }) }),
  },
  { weight: 4, arbitrary: fc.record({ type: fc.constant("mutate" as const), row: rowName }) },
  { weight: 4, arbitrary: fc.record({ type: fc.constant("delete" as const), row: rowName }) },
  { weight: 6, arbitrary: fc.record({ type: fc.constant("get" as const), row: rowName }) },
  { weight: 4, arbitrary: fc.record({ type: fc.constant("keptHandle" as const), row: rowName, set: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant("range" as const), query: rangeQuery }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant("fetch" as const), query: fetchQuery }) },
  { weight: 4, arbitrary: fc.record({ type: fc.constantFrom("freeze" as const, "commitOldest" as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constantFrom("rollback", "checkpoint", "checkpointStart", "crash", "reopen", "scan", "queries" as const),
    }),
  },
);
type Command = typeof command extends fc.Arbitrary<infer T> ? T : never;

/** What the model knows: uncommitted rows over committed ones, and what each frozen set will commit. */
class Model {
  now: Rows = new Map();
  committed: Rows = new Map();
  flights: Rows[] = [];
  /** What at() gave for a row, however long ago. */
  readonly handles = new Map<string, RowHandle<Counter>>();

  put({ key, start }: RowName, value: Counter): void {
    this.now.set(rowText({ key, start }), { key, start, value: { ...value } });
  }

  rollback(): void {
    this.flights = [];
    this.now = new Map(this.committed);
  }
}

async function apply(harness: Harness, model: Model, step: Command): Promise<void> {
  const { state } = harness;
  const store = state.store(counters);
  const windowed = state.store(windows);
  switch (step.type) {
    case "put": {
      const value = { count: step.count, note: step.note };
      model.put(step.row, value);
      if (step.row.start === undefined) store.put(step.row.key, value);
      else windowed.put(step.row.key, step.row.start, value);
      return;
    }
    case "mutate": {
      const { key, start } = step.row;
      const value = start === undefined ? store.get(key) : windowed.fetch(key, start);
      if (value === undefined) return;
      value.count++;
      if (start === undefined) store.put(key, value);
      else windowed.put(key, start, value);
      model.put(step.row, value);
      return;
    }
    case "delete":
      model.now.delete(rowText(step.row));
      if (step.row.start === undefined) store.delete(step.row.key);
      else windowed.delete(step.row.key, step.row.start);
      return;
    case "get": {
      const { key, start } = step.row;
      assert.deepEqual(start === undefined ? store.get(key) : windowed.fetch(key, start), model.now.get(rowText(step.row))?.value);
      return;
    }
    case "keptHandle": {
      const { key, start } = step.row;
      const name = rowText(step.row);
      const known = model.handles.get(name);
      const handle = start === undefined ? store.at(key, known) : windowed.at(key, start, known);
      model.handles.set(name, handle);
      assert.deepEqual(handle.value, model.now.get(name)?.value);
      if (!step.set) return;
      const value = handle.value ?? { count: 0, note: "set" };
      value.count++;
      model.put(step.row, value);
      if (start === undefined) store.set(handle, value);
      else windowed.set(handle, value);
      return;
    }
    case "range":
      return assertRange(state, model.committed, step.query);
    case "fetch":
      return assertFetch(state, model.committed, step.query);
    case "freeze":
      harness.freeze();
      model.flights.push(new Map(model.now));
      return;
    case "commitOldest":
      if (harness.inFlight === 0) return;
      harness.commitOldest();
      model.committed = model.flights.shift() as Rows;
      return;
    case "rollback":
      harness.rollback();
      model.rollback();
      return;
    case "checkpoint":
      return state.checkpoint();
    case "checkpointStart":
      // Goes on behind the next commands; close() or the next checkpoint waits for it.
      state.checkpoint().catch((error: unknown) => assert.fail(error as Error));
      return;
    case "crash":
      await harness.crash();
      await harness.restore(3);
      model.handles.clear();
      model.rollback();
      return;
    case "reopen": {
      await state.checkpoint();
      await harness.crash();
      const read = await harness.restore();
      if (harness.options.engine !== "memory") assert.equal(read, 0, "changelog rows read although all were checkpointed");
      model.handles.clear();
      model.rollback();
      return;
    }
    case "scan":
      await assertScans(harness, model);
      return;
    case "queries":
      await assertQueries(harness, model);
      return;
  }
}

async function assertScans(harness: Harness, model: Model): Promise<void> {
  const texts = (windowed: boolean): string[] => sortedRows(model.now, windowed).map((row) => `${rowText(row)}=${row.value.count}`);
  assert.deepEqual(await counterRows(harness.state), texts(false));
  assert.deepEqual(await windowRows(harness.state), texts(true));
}

async function assertQueries(harness: Harness, model: Model): Promise<void> {
  const { state } = harness;
  for (const key of KEYS) {
    assert.deepEqual(await state.getCommitted("counters", key), model.committed.get(key)?.value);
    for (const windowStart of STARTS) {
      const expected = model.committed.get(rowText({ key, start: windowStart }))?.value;
      assert.deepEqual(await state.getCommitted("windows", { key, windowStart }), expected);
    }
  }
  for (const windowed of [false, true]) {
    for (const limit of [2, 100]) {
      await assertRange(state, model.committed, { windowed, prefix: undefined, from: "ab", to: "ü", after: undefined, limit });
    }
  }
}

export function taskStateModel(engine: EngineName, runs: number): void {
  for (const cacheBytes of [TINY_CACHE_BYTES, 1 << 20]) {
    test(`on ${engine} with ${cacheBytes} bytes of cache, any sequence of commands gives what maps would`, async (t) => {
      await fc.assert(
        fc.asyncProperty(fc.array(command, { minLength: 1, maxLength: 120, size: "max" }), async (steps) => {
          const harness = await Harness.make(t, engine, { cacheBytes });
          try {
            const model = new Model();
            for (const step of steps) await apply(harness, model, step);
            await assertScans(harness, model);
            await assertQueries(harness, model);
            await harness.crash();
            await harness.restore();
            model.rollback();
            await assertScans(harness, model);
            await assertQueries(harness, model);
          } finally {
            await harness.close();
          }
        }),
        { numRuns: runs },
      );
    });
  }
}
