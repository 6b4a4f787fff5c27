/** The reader that restores: regressions of how it begins and ends. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { pino } from "pino";
import { EmbeddedLog } from "../../../eventlog/embedded/embedded-log.ts";
import type { EventLog, PartitionOffset, ReaderOptions, TopicPartition } from "../../../eventlog/port.ts";
import { Restorer } from "../../../runtime/restorer.ts";
import type { Task } from "../../../runtime/task.ts";
import { recordSet, write } from "../../contract/eventlog-helpers.ts";
import { tempDir } from "../../support/temp-dir.ts";

/** Microtasks of a flush: more than the second restore below needs from its gate to its beginning. */
const FLUSH_HOPS = 20;

const MAX_BYTES = 16 * 1024 * 1024;

/** What the restorer asks of a task: one store, nothing on disk. */
function bareTask(partition: number, flushRestored: () => Promise<void> = async () => undefined, restoredBytes = 0): Task {
  const state = { checkpointPosition: () => undefined, restoredBytes, restore: () => undefined, flushRestored };
  return { taskId: `0_${partition}`, partition, stores: [{ name: "s", changelog: true }], state } as unknown as Task;
}

async function microtasks(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await Promise.resolve();
}

async function setUp(t: TestContext): Promise<EventLog> {
  const log = await EmbeddedLog.open({ dir: tempDir(t, "restorer-log") });
  t.after(() => log.close());
  await log.admin.createTopics([{ name: "s-changelog", partitions: 2, config: {} }]);
  await write(
    log,
    recordSet(
      "s-changelog",
      [0, 1].map((partition) => ({ key: "k", value: "v", partition })),
    ),
  );
  return log;
}

function restorerOf(log: EventLog, maxBytes = MAX_BYTES): Restorer {
  return new Restorer({
    log,
    isolation: "read_committed",
    changelogOf: () => "s-changelog",
    logger: pino({ level: "silent" }),
    onRestored: () => undefined,
    maxBytes,
  });
}

test("a restore that begins in the moment the last one ends is not forgotten (Quix #1067: stuck recovery)", async (t) => {
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
    const flush = (): Promise<void> => {
      firstEnds.resolve();
      return microtasks(FLUSH_HOPS);
    };
    const first = restorer.restore(bareTask(0, flush));
    const late = setTimeout(() => void restorer.close(), 2_000); // a restore that was forgotten is cancelled
    assert.equal((await first).records, 1);
    assert.equal((await second).records, 1, `${hops} microtasks after the first`);
    clearTimeout(late);
    await restorer.close();
  }
});

test("a task whose rows are on their way into its engine holds up no other one's restore", { timeout: 20_000 }, async (t) => {
  const log = await setUp(t);
  for (const restoredBytes of [0, MAX_BYTES / 4]) {
    const others = Promise.withResolvers<void>();
    const restorer = restorerOf(log);
    const slow = restorer.restore(bareTask(0, () => others.promise, restoredBytes));
    assert.equal((await restorer.restore(bareTask(1))).records, 1);
    others.resolve();
    assert.equal((await slow).records, 1);
    await restorer.close();
  }
});

test("a flush that fails fails the restores under way, and a later one begins anew", async (t) => {
  const log = await setUp(t);
  const restorer = restorerOf(log);
  for (const restoredBytes of [0, MAX_BYTES]) {
    const full = (): Promise<void> => Promise.reject(new Error("no space left"));
    await assert.rejects(restorer.restore(bareTask(0, full, restoredBytes)), /no space left/);
    assert.equal((await restorer.restore(bareTask(0))).records, 1);
  }
  await restorer.close();
});

test("a cancelled task whose engine closes under its flush fails no other restore", async (t) => {
  const log = await setUp(t);
  for (const restoredBytes of [0, MAX_BYTES]) {
    const restorer = restorerOf(log);
    const flushes = [0, 1].map(() => ({ begun: Promise.withResolvers<void>(), done: Promise.withResolvers<void>() }));
    const [gone, other] = flushes.map(({ begun, done }, partition) => {
      const flush = (): Promise<void> => {
        begun.resolve();
        return done.promise;
      };
      return bareTask(partition, flush, restoredBytes);
    });
    const cancelled = assert.rejects(restorer.restore(gone), /cancelled/);
    const restored = restorer.restore(other);
    await Promise.all(flushes.map(({ begun }) => begun.promise));
    restorer.cancel(gone);
    await cancelled;
    flushes[0].done.reject(new Error("the state is closed"));
    await microtasks(FLUSH_HOPS);
    flushes[1].done.resolve();
    assert.equal((await restored).records, 1);
    await restorer.close();
  }
});

test("rows that fill a task's share wait for the flush before more are read", async (t) => {
  const log = await setUp(t);
  for (let i = 0; i < 4; i++) await write(log, recordSet("s-changelog", [{ key: "k", value: "v", partition: 0 }]));
  const restorer = restorerOf(log);
  const flushed = Promise.withResolvers<void>();
  const full = bareTask(0, () => flushed.promise, MAX_BYTES);
  let applied = 0;
  const secondApplied = Promise.withResolvers<void>();
  full.state.restore = () => {
    if (++applied === 2) secondApplied.resolve();
  };
  const restored = restorer.restore(full);
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
    [256 * 1024 - 1, 1],
    [256 * 1024, 2],
  ]) {
    const restorer = restorerOf(log, 1);
    let flushes = 0;
    const flush = async (): Promise<void> => void flushes++;
    await restorer.restore(bareTask(0, flush, restoredBytes));
    assert.equal(flushes, expected);
    await restorer.close();
  }
});
