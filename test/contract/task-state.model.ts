/** Random commands on a TaskState against the plainest model there is: maps. Run by test/contract/task-state-model.test.ts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { EngineName } from "../../state/engines/engine.ts";
import { counterRows, counters, Harness, windowRows, windows } from "./task-state-harness.ts";

/** Few keys, so that commands meet; one is the beginning of another. */
const KEYS = ["a", "ab", "abc", "b", "tenant|device-1", "tenant|device-10", "ü", "\u{1f4a1}"] as const;
const STARTS = [0, 10_000, 20_000] as const;

/** Small enough that nearly every clean entry is evicted. */
const TINY_CACHE_BYTES = 900;

interface Row {
  readonly key: string;
  /** undefined: the key-value store. */
  readonly start: number | undefined;
}

const row: fc.Arbitrary<Row> = fc.record({ key: fc.constantFrom(...KEYS), start: fc.constantFrom(undefined, ...STARTS) });
const command = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ type: fc.constant("put" as const), row, count: fc.nat(1_000_000), note: fc.string({ maxLength: 20 }) }),
  },
  { weight: 4, arbitrary: fc.record({ type: fc.constant("mutate" as const), row }) },
  { weight: 4, arbitrary: fc.record({ type: fc.constant("delete" as const), row }) },
  { weight: 6, arbitrary: fc.record({ type: fc.constant("get" as const), row }) },
  { weight: 4, arbitrary: fc.record({ type: fc.constantFrom("freeze" as const, "commitOldest" as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({ type: fc.constantFrom("rollback", "checkpoint", "checkpointStart", "crash", "scan", "queries" as const) }),
  },
);
type Command = typeof command extends fc.Arbitrary<infer T> ? T : never;

type Rows = Map<string, { count: number; note: string }>;

const nameOf = ({ key, start }: Row): string => (start === undefined ? key : `${key}@${start}`);

/** What the model knows: uncommitted rows over committed ones, and what each frozen set will commit. */
class Model {
  now: Rows = new Map();
  committed: Rows = new Map();
  flights: Rows[] = [];
}

async function apply(harness: Harness, model: Model, step: Command): Promise<void> {
  const { state } = harness;
  const store = state.store(counters);
  const windowed = state.store(windows);
  switch (step.type) {
    case "put": {
      const value = { count: step.count, note: step.note };
      model.now.set(nameOf(step.row), { ...value });
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
      model.now.set(nameOf(step.row), { ...value });
      return;
    }
    case "delete":
      model.now.delete(nameOf(step.row));
      if (step.row.start === undefined) store.delete(step.row.key);
      else windowed.delete(step.row.key, step.row.start);
      return;
    case "get": {
      const { key, start } = step.row;
      assert.deepEqual(start === undefined ? store.get(key) : windowed.fetch(key, start), model.now.get(nameOf(step.row)));
      return;
    }
    case "freeze":
      harness.freeze();
      model.flights.push(copy(model.now));
      return;
    case "commitOldest":
      if (harness.inFlight === 0) return;
      harness.commitOldest();
      model.committed = model.flights.shift() as Rows;
      return;
    case "rollback":
      harness.rollback();
      model.flights = [];
      model.now = copy(model.committed);
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
      model.flights = [];
      model.now = copy(model.committed);
      return;
    case "scan":
      await assertScans(harness, model);
      return;
    case "queries":
      await assertQueries(harness, model);
      return;
  }
}

async function assertScans(harness: Harness, model: Model): Promise<void> {
  assert.deepEqual(await counterRows(harness.state), expectedRows(model.now, false));
  assert.deepEqual(await windowRows(harness.state), expectedRows(model.now, true));
}

async function assertQueries(harness: Harness, model: Model): Promise<void> {
  const { state } = harness;
  for (const key of KEYS) {
    assert.deepEqual(await state.getCommitted("counters", key), model.committed.get(key));
    for (const windowStart of STARTS) {
      assert.deepEqual(await state.getCommitted("windows", { key, windowStart }), model.committed.get(`${key}@${windowStart}`));
    }
  }
  for (const limit of [1, 2, 100]) {
    const seen: string[] = [];
    let after: unknown;
    for (;;) {
      const page = await state.scanCommitted("windows", { prefix: "a", ...(after === undefined ? {} : { after }), limit });
      for (const [key, value] of page as readonly [{ key: string; windowStart: number }, { count: number }][]) {
        seen.push(`${key.key}@${key.windowStart}=${value.count}`);
      }
      if (page.length < limit) break;
      after = page[page.length - 1]?.[0];
    }
    assert.deepEqual(
      seen,
      expectedRows(model.committed, true).filter((text) => text.startsWith("a")),
    );
  }
}

/** In the order of the stored bytes. */
function expectedRows(rows: Rows, windowed: boolean): string[] {
  return [...rows]
    .filter(([name]) => name.includes("@") === windowed)
    .map(([name, { count }]) => {
      const [key = "", start = "0"] = name.split("@");
      const startBytes = Buffer.alloc(windowed ? 8 : 0);
      if (windowed) startBytes.writeBigUInt64BE(BigInt(start));
      return { bytes: Buffer.concat([Buffer.from(key), startBytes]), text: `${name}=${count}` };
    })
    .sort((a, b) => Buffer.compare(a.bytes, b.bytes))
    .map(({ text }) => text);
}

function copy(rows: Rows): Rows {
  return new Map([...rows].map(([name, value]) => [name, { ...value }]));
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
            model.now = copy(model.committed);
            await assertScans(harness, model);
          } finally {
            await harness.close();
          }
        }),
        { numRuns: runs },
      );
    });
  }
}
