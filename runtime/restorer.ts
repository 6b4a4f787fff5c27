/**
 * Brings stores up to date from their changelogs, beside the running tasks: one reader for all restoring tasks,
 * applied in slices, so that neither records nor heartbeats wait for it.
 */
import type { Logger } from "pino";
import type { EventLog, FetchedBatch, IsolationLevel, LogReader, Trouble } from "../eventlog/port.ts";
import { changelogSpans, replay } from "./changelogs.ts";
import type { RestoreProgress } from "./queries.ts";
import { RestoreMeter } from "./restore-meter.ts";
import { RestoreReport } from "./restore-report.ts";
import type { Task } from "./task.ts";

/** A flush takes so much at the least, but for a task's last one, and each task's share is no less: below, the engine's syncs would take longer than its rows. */
const MIN_FLUSH_BYTES = 256 * 1024;
const POLL_WAIT_MS = 200;

interface StoreRestore {
  readonly task: Task;
  readonly store: string;
  readonly topic: string;
  readonly partition: number;
  readonly meter: RestoreMeter;
}

/** What a restore replayed: changelog records, bytes of their keys and values, and how long that took. */
export interface RestoreSummary {
  readonly records: number;
  readonly bytes: number;
  readonly ms: number;
}

interface TaskRestore {
  readonly stores: readonly StoreRestore[];
  /** Its rows are on their way into the engine; others' are read meanwhile. */
  flushing: Promise<void> | undefined;
  /** Everything is read: the last flush, then it is done. */
  finishing: boolean;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export interface RestorerOptions {
  readonly log: EventLog;
  readonly isolation: IsolationLevel;
  readonly changelogOf: (store: string) => string;
  readonly logger: Logger;
  readonly onRestored: (records: number) => void;
  /** Fetched at most, and rows of all restoring tasks that wait for the engines: bounds memory, keeps engine batches large. */
  readonly maxBytes: number;
}

export class Restorer {
  readonly #options: RestorerOptions;
  readonly #report: RestoreReport;
  readonly #active = new Map<Task, TaskRestore>();
  #reader: LogReader | undefined;
  #loop: Promise<void> | undefined;
  #closed = false;

  constructor(options: RestorerOptions) {
    this.#options = options;
    this.#report = new RestoreReport(options.logger, () =>
      [...this.#active.keys()].map((task) => ({ taskId: task.taskId, stores: this.progress(task) })),
    );
  }

  /** Resolves when every store of the task stands where its changelog ended at the call. Rejects when cancelled. */
  async restore(task: Task): Promise<RestoreSummary> {
    const startedAt = performance.now();
    const stores = await this.#plan(task);
    if (stores.some(({ meter }) => !meter.done))
      await new Promise<void>((resolve, reject) => {
        this.#active.set(task, { stores, flushing: undefined, finishing: false, resolve, reject });
        this.#report.began(task.taskId, this.progress(task));
        this.#assign();
        this.#loop ??= this.#run();
      });
    const sum = (of: (meter: RestoreMeter) => number): number => stores.reduce((total, { meter }) => total + of(meter), 0);
    return { records: sum(({ records }) => records), bytes: sum(({ bytes }) => bytes), ms: Math.round(performance.now() - startedAt) };
  }

  /** From where to where each store of the task must be read. */
  async #plan(task: Task): Promise<StoreRestore[]> {
    const { log, changelogOf } = this.#options;
    const spans = await changelogSpans(log.admin, changelogOf, task.stores, task.partition, task.state);
    const now = performance.now();
    return spans.map(({ store, topic, partition, position, end }) => ({
      task,
      store,
      topic,
      partition,
      meter: new RestoreMeter(position, end, now),
    }));
  }

  cancel(task: Task): void {
    const active = this.#active.get(task);
    if (active === undefined) return;
    this.#active.delete(task);
    this.#assign();
    active.reject(new Error(`restore of task ${task.taskId} was cancelled`));
  }

  progress(task: Task): RestoreProgress[] {
    return (this.#active.get(task)?.stores ?? []).map(({ store, meter }) => meter.progress(store, performance.now()));
  }

  /** Of reading changelogs, while a task waits for them. */
  get trouble(): Trouble | undefined {
    return this.#active.size > 0 ? this.#reader?.trouble : undefined;
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const task of [...this.#active.keys()]) this.cancel(task);
    this.#reader?.wakeup();
    await this.#loop;
    await this.#reader?.close();
  }

  #assign(): void {
    const { log, isolation, maxBytes } = this.#options;
    this.#reader ??= log.reader({ isolation, maxBufferedBytes: maxBytes, maxPartitionBytes: 4 * 1024 * 1024 });
    const waiting = [...this.#active.values()].flatMap((active) => active.stores).filter(({ meter }) => !meter.done);
    this.#reader.assign(waiting.map(({ topic, partition, meter }) => ({ topic, partition, offset: meter.position })));
    this.#reader.wakeup();
  }

  async #run(): Promise<void> {
    while (this.#active.size > 0 && !this.#closed) {
      try {
        const batches = (await this.#reader?.poll(POLL_WAIT_MS)) ?? [];
        for (const batch of batches) {
          await this.#apply(batch);
          batch.release?.();
        }
        for (const [task, active] of this.#active) this.#finishIfDone(task, active);
      } catch (error) {
        this.#fail(error);
      }
    }
    this.#report.stop();
    this.#loop = undefined; // in this very turn: a restore that comes now begins another loop
  }

  async #apply(batch: FetchedBatch): Promise<void> {
    const store = this.#find(batch);
    if (store === undefined || batch.nextOffset <= store.meter.position) return;
    const { records } = batch;
    const { state } = store.task;
    const bytes = await replay(state, store.store, records, () => this.#active.has(store.task));
    if (bytes === undefined) return;
    store.meter.advance(batch.nextOffset, records.count, bytes, performance.now());
    this.#options.onRestored(records.count);
    await this.#flushIfFull(store.task);
  }

  /** Begins a flush at half of the task's share, so that reading goes on beside it, and waits for it at the whole. */
  async #flushIfFull(task: Task): Promise<void> {
    const active = this.#active.get(task);
    if (active === undefined) return;
    const share = Math.max(MIN_FLUSH_BYTES, this.#options.maxBytes / this.#active.size);
    if (task.state.restoredBytes >= share) await active.flushing;
    if (task.state.restoredBytes >= Math.max(MIN_FLUSH_BYTES, share / 2) && active.flushing === undefined) void this.#flush(task, active);
  }

  #find(batch: FetchedBatch): StoreRestore | undefined {
    for (const { stores, finishing } of this.#active.values()) {
      const found = stores.find(({ topic, partition }) => topic === batch.topic && partition === batch.partition);
      if (found !== undefined && !finishing) return found;
    }
    return undefined;
  }

  /** Never rejects: an error is that of the restores. */
  #flush(task: Task, active: TaskRestore): Promise<void> {
    const positions = new Map(active.stores.map(({ store, meter }) => [store, meter.position]));
    active.flushing = task.state
      .flushRestored(positions)
      .catch((error: unknown) => this.#flushFailed(task, active, error))
      .finally(() => (active.flushing = undefined));
    return active.flushing;
  }

  #finishIfDone(task: Task, active: TaskRestore): void {
    if (active.finishing || active.stores.some(({ meter }) => !meter.done)) return;
    active.finishing = true;
    void this.#finish(task, active);
  }

  async #finish(task: Task, active: TaskRestore): Promise<void> {
    await this.#flush(task, active); // after one that is under way
    if (this.#active.get(task) !== active) return; // cancelled, or failed with the others
    this.#active.delete(task);
    active.resolve();
    this.#reader?.wakeup(); // the loop may wait for records of this task, the last one
  }

  /** A task that was cancelled meanwhile may have closed its engine: nobody else's concern. */
  #flushFailed(task: Task, active: TaskRestore, error: unknown): void {
    if (this.#active.get(task) === active) this.#fail(error);
  }

  /** One reader and one loop for all: its end is everybody's. */
  #fail(error: unknown): void {
    for (const active of this.#active.values()) active.reject(error);
    this.#active.clear();
  }
}
