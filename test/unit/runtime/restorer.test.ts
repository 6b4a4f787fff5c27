/** The reader that restores: regressions of how it begins and ends. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { pino } from "pino";
import { EmbeddedLog } from "../../../eventlog/embedded/embedded-log.ts";
import type { EventLog, FetchedBatch, LogReader, PartitionOffset, ReaderOptions, TopicPartition } from "../../../eventlog/port.ts";
import { Restorer } from "../../../runtime/restorer.ts";
import type { Task } from "../../../runtime/task.ts";
import { recordSet, write } from "../../contract/eventlog-helpers.ts";
import { tempDir } from "../../support/temp-dir.ts";

/** Microtasks of a flush: more than the second restore below needs from its gate to its beginning. */
const FLUSH_HOPS = 20;

const MAX_BYTES = 16 * 1024 * 1024;

interface BareState {
  /** As if each record were so large. */
  readonly restoredBytes: number;
  readonly flushRestored: () => Promise<void>;
  readonly restored: (positions: ReadonlyMap<string, number>) => void;
  readonly restore: () => void;
}

/** What the restorer asks of a task: one store, nothing on disk. */
function bareTask(partition: number, state: Partial<BareState> = {}): Task {
  const nothing = {
    checkpointPosition: () => undefined,
    restoredBytes: 0,
    restore: () => undefined,
    restored: () => undefined,
    flushRestored: async () => undefined,
  };
  return {
    taskId: `0_${partition}`,
    partition,
    stores: [{ name: "s", changelog: true }],
    state: { ...nothing, ...state },
  } as unknown as Task;
}

async function microtasks(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await Promise.resolve();
}

async function setUp(t: TestContext): Promise<EventLog> {
  const log = await EmbeddedLog.open({ dir: tempDir(t, "restorer-log") });
  t.after(() => log.close());
  await log.admin.createTopics([{ name: "s-changelog", partitions: 2, config: {} }]);
  await writeMore(log, 1);
  return log;
}

/** Batches of one record, so many for each partition. */
async function writeMore(log: EventLog, batches: number): Promise<void> {
  for (let i = 0; i < batches; i++)
    await write(
      log,
      recordSet(
        "s-changelog",
        [0, 1].map((partition) => ({ key: "k", value: "v", partition })),
      ),
    );
}

function restorerOf(log: EventLog, maxRowBytes = () => MAX_BYTES): Restorer {
  return new Restorer({
    log,
    isolation: "read_committed",
    changelogOf: () => "s-changelog",
    logger: pino({ level: "silent" }),
    onRestored: () => undefined,
    maxFetchedBytes: MAX_BYTES,
    maxRowBytes,
  });
}

test(
  "a restore that begins in the moment the last one ends is not forgotten (Quix #1067: stuck recovery)",
  { timeout: 20_000 },
  async (t) => {
    const log = await setUp(t);
    const partitions = [0, 1].map((partition) => ({ topic: "s-changelog", partition }));
    const ends = await log.admin.listOffsets(partitions, "latest", "read_uncommitted");
    for (let hops = 0; hops < 2 * FLUSH_HOPS; hops++) {
      const firstEnds = Promise.withResolvers<void>();
      const endsOf = async ([{ partition }]: readonly TopicPartition[], at: unknown): Promise<PartitionOffset[]> => {
        if (partition === 1 && at === "latest") await firstEnds.promise.then(() => microtasks(hops));
        return at === "latest" ? [ends[partition]] : [{ ...ends[partition], offset: 0 }];
      };
      const admin = { listOffsets: endsOf } as unknown as EventLog["admin"];
      const restorer = restorerOf({ admin, reader: (options: ReaderOptions) => log.reader(options) } as EventLog);
      const second = restorer.restore(bareTask(1));
      const first = restorer.restore(bareTask(0, { restored: () => firstEnds.resolve() }));
      const late = setTimeout(() => void restorer.close(), 2_000); // a restore that was forgotten is cancelled
      assert.equal((await first).records, 1);
      assert.equal((await second).records, 1, `${hops} microtasks after the first`);
      clearTimeout(late);
      await restorer.close();
    }
  },
);

test("a restore ends with what came last in memory, and waits for no flush", { timeout: 20_000 }, async (t) => {
  const log = await setUp(t);
  await writeMore(log, 2);
  const restorer = restorerOf(log);
  const flush = Promise.withResolvers<void>();
  let restored: ReadonlyMap<string, number> | undefined;
  const half = { restoredBytes: MAX_BYTES / 2, flushRestored: () => flush.promise };
  const others = restorer.restore(bareTask(1, { restoredBytes: MAX_BYTES / 4 }));
  const summary = await restorer.restore(bareTask(0, { ...half, restored: (positions) => (restored = positions) }));
  assert.deepEqual([summary.records, (await others).records, restored], [3, 3, new Map([["s", 3]])]);
  flush.reject(new Error("no space left")); // the next checkpoint's concern
  await microtasks(FLUSH_HOPS);
  await restorer.close();
});

test("a flush that fails fails the restores under way, and a later one begins anew", async (t) => {
  const log = await setUp(t);
  await writeMore(log, 2);
  const restorer = restorerOf(log);
  const flush = Promise.withResolvers<void>();
  let [records, flushes] = [0, 0];
  const full = bareTask(0, {
    restoredBytes: MAX_BYTES,
    flushRestored: () => (flushes++, flush.promise),
    restore: () => {
      if (++records === 2) setImmediate(() => flush.reject(new Error("no space left"))); // when the restore waits for it
    },
  });
  await assert.rejects(restorer.restore(full), /no space left/);
  assert.equal((await restorer.restore(bareTask(0))).records, 3);
  assert.equal(flushes, 1);
  await restorer.close();
});

test("a cancelled task whose engine closes under its flush fails no other restore", { timeout: 20_000 }, async (t) => {
  const log = await setUp(t);
  await writeMore(log, 2);
  const restorer = restorerOf(log);
  const [begun, done] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const flushRestored = (): Promise<void> => (begun.resolve(), done.promise);
  const gone = bareTask(0, { restoredBytes: MAX_BYTES, flushRestored });
  const cancelled = assert.rejects(restorer.restore(gone), /cancelled/);
  const restored = restorer.restore(bareTask(1));
  await begun.promise;
  restorer.cancel(gone);
  await cancelled;
  done.reject(new Error("the state is closed"));
  assert.equal((await restored).records, 3);
  await restorer.close();
});

test("rows that fill a task's share wait for the flush before more are read", async (t) => {
  const log = await setUp(t);
  await writeMore(log, 4);
  const restorer = restorerOf(log);
  const flushed = Promise.withResolvers<void>();
  let applied = 0;
  const secondApplied = Promise.withResolvers<void>();
  const restore = (): void => void (++applied === 2 && secondApplied.resolve());
  const restored = restorer.restore(bareTask(0, { restoredBytes: MAX_BYTES, flushRestored: () => flushed.promise, restore }));
  await secondApplied.promise; // beside the flush that the first began
  for (let turn = 0; turn < 10; turn++) await nextTurn();
  assert.equal(applied, 2);
  flushed.resolve();
  assert.equal((await restored).records, 5);
  await restorer.close();
});

test("a small share's rows go out together, not in halves: a flush costs a sync", async (t) => {
  const log = await setUp(t);
  for (const [restoredBytes, expected] of [
    [256 * 1024 - 1, 0],
    [256 * 1024, 1],
  ]) {
    const restorer = restorerOf(log, () => 1);
    let flushes = 0;
    await restorer.restore(bareTask(0, { restoredBytes, flushRestored: async () => void flushes++ }));
    assert.equal(flushes, expected);
    await restorer.close();
  }
});

test("the rows' bound may change while a restore goes on", async (t) => {
  const log = await setUp(t);
  await writeMore(log, 3);
  let records = 0;
  let flushes = 0;
  const restorer = restorerOf(log, () => (records < 3 ? MAX_BYTES : MAX_BYTES / 4));
  const flushRestored = async (): Promise<void> => void flushes++;
  await restorer.restore(bareTask(0, { restoredBytes: MAX_BYTES / 4, flushRestored, restore: () => void records++ }));
  assert.deepEqual([records, flushes], [4, 2]);
  await restorer.close();
});

test("of a task that is restored nothing more is read while others go on", async (t) => {
  const log = await setUp(t);
  await write(log, recordSet("s-changelog", [{ key: "k", value: "v", partition: 1 }]));
  const assigned: number[][] = [];
  const reader = (options: ReaderOptions): LogReader => {
    const real = log.reader(options);
    const [assign, poll] = [real.assign.bind(real), real.poll.bind(real)];
    const batches: FetchedBatch[] = [];
    real.assign = (offsets) => {
      assigned.push(offsets.map(({ partition }) => partition));
      assign(offsets);
    };
    real.poll = async (waitMs) => {
      if (batches.length === 0) batches.push(...(await poll(waitMs)));
      return batches.splice(0, 1);
    };
    return real;
  };
  const restorer = restorerOf({ admin: log.admin, reader } as EventLog);
  await Promise.all([restorer.restore(bareTask(0)), restorer.restore(bareTask(1))]);
  assert.deepEqual(assigned.slice(-2), [[1], []]);
  await restorer.close();
});
