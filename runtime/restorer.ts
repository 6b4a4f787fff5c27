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

/** A flush takes so much at the least, and each task's share is no less: below, the engine's syncs would take longer than its rows. */
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
  /** Its rows are on their way into the engine; more are read meanwhile. */
  flushing: Promise<void> | undefined;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export interface RestorerOptions {
  readonly log: EventLog;
  readonly isolation: IsolationLevel;
  readonly changelogOf: (store: string) => string;
  readonly logger: Logger;
  readonly onRestored: (records: number) => void;
  /** Of what is fetched and not decoded yet. */
  readonly maxFetchedBytes: number;
  /** Of rows of all restoring tasks that the engines do not have yet; asked again and again. */
  readonly maxRowBytes: () => number;
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

  /**
   * Resolves when every store of the task stands where its changelog ended at the call. What came last waits in memory for a checkpoint,
   * as rows of a commit do. Rejects when cancelled.
   */
  async restore(task: Task): Promise<RestoreSummary> {
    const startedAt = performance.now();
    const stores = await this.#plan(task);
    if (stores.some(({ meter }) => !meter.done))
      await new Promise<void>((resolve, reject) => {
        this.#active.set(task, { stores, flushing: undefined, resolve, reject });
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
    const { log, isolation, maxFetchedBytes } = this.#options;
    this.#reader ??= log.reader({ isolation, maxBufferedBytes: maxFetchedBytes, maxPartitionBytes: 4 * 1024 * 1024 });
    const waiting = [...this.#active.values()].flatMap((active) => active.stores).filter(({ meter }) => !meter.done);
    this.#reader.assign(waiting.map(({ topic, partition, meter }) => ({ topic, partition, offset: meter.position })));
    this.#reader.wakeup();
  }

  async #run(): Promise<void> {
    while (this.#active.size > 0 && !this.#closed) {
      try {
        const batches = (await this.#reader?.poll(POLL_WAIT_MS)) ?? [];
        let someDone = false;
        for (const batch of batches) {
          const store = await this.#apply(batch);
          someDone ||= store?.meter.done === true;
          batch.release?.();
        }
        if (someDone) this.#finishDone();
      } catch (error) {
        this.#fail(error);
      }
    }
    this.#report.stop();
    this.#loop = undefined; // in this very turn: a restore that comes now begins another loop
  }

  /** Returns the store that went on. */
  async #apply(batch: FetchedBatch): Promise<StoreRestore | undefined> {
    const store = this.#find(batch);
    if (store === undefined || batch.nextOffset <= store.meter.position) return undefined;
    const { records } = batch;
    const { state } = store.task;
    const bytes = await replay(state, store.store, records, () => this.#active.has(store.task));
    if (bytes === undefined) return undefined;
    store.meter.advance(batch.nextOffset, records.count, bytes, performance.now());
    this.#options.onRestored(records.count);
    await this.#flushIfFull(store.task);
    return store;
  }

  /** Begins a flush at half of the task's share, so that reading goes on beside it, and waits for it at the whole. */
  async #flushIfFull(task: Task): Promise<void> {
    const active = this.#active.get(task);
    if (active === undefined) return;
    const share = Math.max(MIN_FLUSH_BYTES, this.#options.maxRowBytes() / this.#active.size);
    if (task.state.restoredBytes >= share) await active.flushing;
    if (this.#active.get(task) !== active) return; // cancelled, or failed with the others
    if (task.state.restoredBytes >= Math.max(MIN_FLUSH_BYTES, share / 2)) active.flushing ??= this.#flush(task, active);
  }

  #find(batch: FetchedBatch): StoreRestore | undefined {
    for (const { stores } of this.#active.values()) {
      const found = stores.find(({ topic, partition }) => topic === batch.topic && partition === batch.partition);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** Never rejects: an error is that of the restores. */
  async #flush(task: Task, active: TaskRestore): Promise<void> {
    try {
      await task.state.flushRestored(positionsOf(active));
    } catch (error) {
      this.#flushFailed(task, active, error);
    } finally {
      active.flushing = undefined;
    }
  }

  /** Of tasks and stores that stand where their changelogs ended nothing more is read. */
  #finishDone(): void {
    for (const [task, active] of this.#active) {
      if (active.stores.some(({ meter }) => !meter.done)) continue;
      task.state.restored(positionsOf(active));
      this.#active.delete(task);
      active.resolve();
    }
    this.#assign();
  }

  /** A task that was cancelled meanwhile may have closed its engine; that of one that is done has its rows in the next checkpoint. */
  #flushFailed(task: Task, active: TaskRestore, error: unknown): void {
    if (this.#active.get(task) === active) this.#fail(error);
  }

  /** One reader and one loop for all: its end is everybody's. */
  #fail(error: unknown): void {
    for (const active of this.#active.values()) active.reject(error);
    this.#active.clear();
  }
}

function positionsOf({ stores }: TaskRestore): ReadonlyMap<string, number> {
  return new Map(stores.map(({ store, meter }) => [store, meter.position]));
}
