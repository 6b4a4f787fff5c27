/**
 * Brings stores up to date from their changelogs, beside the running tasks: one reader for all restoring tasks,
 * applied in slices, so that neither records nor heartbeats wait for it.
 */
import { setImmediate as yieldToEventLoop, setTimeout as delay } from "node:timers/promises";
import { LogError } from "../eventlog/errors.ts";
import type { EventLog, FetchedBatch, IsolationLevel, LogReader, PartitionOffset, TopicPartition } from "../eventlog/port.ts";
import { RuntimeError } from "./errors.ts";
import type { RestoreProgress } from "./queries.ts";
import type { Task } from "./task.ts";

/** Restored rows are written to the engines when so many bytes wait, of all tasks that restore: bounds memory, keeps engine batches large. */
const FLUSH_BYTES = 16 * 1024 * 1024;
/** Each task's share of it at the least: below, the engine's syncs would take longer than its rows. */
const MIN_FLUSH_BYTES = 256 * 1024;
/** Records applied between two turns of the event loop: a few milliseconds. */
const RECORDS_PER_SLICE = 5_000;
const POLL_WAIT_MS = 200;
/** A cluster tells its brokers of a new topic within moments; longer, and it is not there. */
const NEW_TOPIC_WAIT_MS = 10_000;
const NEW_TOPIC_RETRY_MS = 50;

interface StoreRestore {
  readonly task: Task;
  readonly store: string;
  readonly topic: string;
  readonly partition: number;
  readonly target: number;
  readonly startedAt: number;
  position: number;
  restored: number;
}

interface TaskRestore {
  readonly stores: readonly StoreRestore[];
  readonly resolve: (restored: number) => void;
  readonly reject: (error: unknown) => void;
}

export class Restorer {
  readonly #log: EventLog;
  readonly #isolation: IsolationLevel;
  readonly #changelogOf: (store: string) => string;
  readonly #onRestored: (records: number) => void;
  readonly #active = new Map<Task, TaskRestore>();
  #reader: LogReader | undefined;
  #loop: Promise<void> | undefined;
  #closed = false;

  constructor(log: EventLog, isolation: IsolationLevel, changelogOf: (store: string) => string, onRestored: (records: number) => void) {
    this.#log = log;
    this.#isolation = isolation;
    this.#changelogOf = changelogOf;
    this.#onRestored = onRestored;
  }

  /** Resolves with the number of changelog records replayed, when every store of the task stands where its changelog ended at the call. Rejects when cancelled. */
  async restore(task: Task): Promise<number> {
    const specs = task.stores.filter((spec) => spec.changelog);
    const partitions = specs.map((spec) => ({ topic: this.#changelogOf(spec.name), partition: task.partition }));
    if (partitions.length === 0) return 0;
    const earliest = await this.#endsOf(partitions, "earliest");
    // the uncommitted end: the restore must wait for a transaction that is still being completed (KAFKA-10167)
    const latest = await this.#endsOf(partitions, "latest");
    const offsetOf = (list: typeof earliest, topic: string): number => list.find((entry) => entry.topic === topic)?.offset ?? 0;
    const stores = specs.map((spec, index): StoreRestore => {
      const { topic, partition } = partitions[index];
      const checkpoint = task.state.checkpointPosition(spec.name);
      if (checkpoint !== undefined && checkpoint > offsetOf(latest, topic))
        throw new RuntimeError(
          "state-mismatch",
          `${topic}/${partition} ends before the local checkpoint ${checkpoint}: the changelog was made anew`,
        );
      const position = Math.max(checkpoint ?? 0, offsetOf(earliest, topic));
      return {
        task,
        store: spec.name,
        topic,
        partition,
        target: offsetOf(latest, topic),
        startedAt: performance.now(),
        position,
        restored: 0,
      };
    });
    if (stores.every((store) => store.position >= store.target)) return 0;
    return await new Promise<number>((resolve, reject) => {
      this.#active.set(task, { stores, resolve, reject });
      this.#assign();
      this.#loop ??= this.#run().finally(() => (this.#loop = undefined));
    });
  }

  /** Changelogs may have been made a moment ago, and the broker that is asked not have heard of them. */
  async #endsOf(partitions: readonly TopicPartition[], at: "earliest" | "latest"): Promise<readonly PartitionOffset[]> {
    const deadline = performance.now() + NEW_TOPIC_WAIT_MS;
    for (;;) {
      try {
        return await this.#log.admin.listOffsets(partitions, at, "read_uncommitted");
      } catch (error) {
        if (!(error instanceof LogError) || error.code !== "unknown-topic" || performance.now() >= deadline) throw error;
        await delay(NEW_TOPIC_RETRY_MS);
      }
    }
  }

  cancel(task: Task): void {
    const active = this.#active.get(task);
    if (active === undefined) return;
    this.#active.delete(task);
    this.#assign();
    active.reject(new Error(`restore of task ${task.taskId} was cancelled`));
  }

  progress(task: Task): RestoreProgress[] {
    return (this.#active.get(task)?.stores ?? []).map((store) => ({
      store: store.store,
      restored: store.restored,
      remaining: Math.max(0, store.target - store.position),
      recordsPerSecond: Math.round(store.restored / Math.max(0.001, (performance.now() - store.startedAt) / 1000)),
    }));
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const task of [...this.#active.keys()]) this.cancel(task);
    this.#reader?.wakeup();
    await this.#loop;
    await this.#reader?.close();
  }

  #assign(): void {
    this.#reader ??= this.#log.reader({ isolation: this.#isolation, maxBufferedBytes: FLUSH_BYTES, maxPartitionBytes: 4 * 1024 * 1024 });
    const waiting = [...this.#active.values()].flatMap((active) => active.stores).filter((store) => store.position < store.target);
    this.#reader.assign(waiting.map(({ topic, partition, position }) => ({ topic, partition, offset: position })));
    this.#reader.wakeup();
  }

  async #run(): Promise<void> {
    while (this.#active.size > 0 && !this.#closed) {
      try {
        const batches = (await this.#reader?.poll(POLL_WAIT_MS)) ?? [];
        for (const batch of batches) await this.#apply(batch);
        for (const [task, active] of [...this.#active]) await this.#finishIfDone(task, active);
      } catch (error) {
        for (const active of this.#active.values()) active.reject(error);
        this.#active.clear();
      }
    }
  }

  async #apply(batch: FetchedBatch): Promise<void> {
    const store = this.#find(batch);
    if (store === undefined || batch.nextOffset <= store.position) return;
    const { records } = batch;
    const { state } = store.task;
    for (let i = 0; i < records.count; i++) {
      state.restore(store.store, records.bytes, records.keyStarts[i], records.keyEnds[i], records.valueStarts[i], records.valueEnds[i]);
      if (i % RECORDS_PER_SLICE === RECORDS_PER_SLICE - 1) {
        await yieldToEventLoop();
        if (!this.#active.has(store.task)) return;
      }
    }
    store.position = batch.nextOffset;
    store.restored += records.count;
    this.#onRestored(records.count);
    if (state.restoredBytes >= Math.max(MIN_FLUSH_BYTES, FLUSH_BYTES / this.#active.size)) await this.#flush(store.task);
  }

  #find(batch: FetchedBatch): StoreRestore | undefined {
    for (const active of this.#active.values())
      for (const store of active.stores) if (store.topic === batch.topic && store.partition === batch.partition) return store;
    return undefined;
  }

  #flush(task: Task): Promise<void> {
    const stores = this.#active.get(task)?.stores ?? [];
    return task.state.flushRestored(new Map(stores.map((store) => [store.store, store.position])));
  }

  async #finishIfDone(task: Task, active: TaskRestore): Promise<void> {
    if (!this.#active.has(task) || active.stores.some((store) => store.position < store.target)) return;
    await this.#flush(task);
    this.#active.delete(task);
    active.resolve(active.stores.reduce((sum, store) => sum + store.restored, 0));
  }
}
