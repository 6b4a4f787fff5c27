/**
 * The copies that one worker keeps of other workers' tasks: one reader tails all their changelogs beside the running tasks. When a
 * task is given to this worker, its copy becomes the task's state, and only what came since is restored. A copy that cannot go on is
 * made anew; that is never the worker's end.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import { LogError } from "../eventlog/errors.ts";
import type { EventLog, FetchedBatch, IsolationLevel, LogReader } from "../eventlog/port.ts";
import type { StoreSpec } from "../state/store.ts";
import type { TaskState } from "../state/task-state.ts";
import { changelogSpans } from "./changelogs.ts";
import { isMendedByWipe } from "./corrupt-tasks.ts";
import { RuntimeError } from "./errors.ts";
import type { StandbyInfo } from "./queries.ts";
import { Retries } from "./retries.ts";
import { StandbyTask } from "./standby-task.ts";
import type { TaskDirectories } from "./task-directories.ts";
import { parseTaskId } from "./task-id.ts";
import type { TaskOpener } from "./task-opener.ts";

/** The longest wait for records. */
const POLL_WAIT_MS = 1_000;
/** Between two looks at where the changelogs end: the resolution of lag and staleness. One small request a broker. */
const ENDS_INTERVAL_MS = 1_000;
/** Bounds what a crash makes the copy read again. */
const FLUSH_INTERVAL_MS = 5_000;
/** Of all copies at once, among the names of tasks that fail. */
const READING = "reading changelogs";

export interface StandbyTasksOptions {
  readonly log: EventLog;
  readonly isolation: IsolationLevel;
  readonly changelogOf: (store: string) => string;
  /** Of a sub-topology; undefined for another topology's. */
  readonly storesOf: (subtopology: number) => readonly StoreSpec<unknown>[] | undefined;
  readonly opener: TaskOpener;
  readonly directories: TaskDirectories;
  readonly acceptableLag: number;
  readonly maxFetchedBytes: number;
  /** Rows of all copies that wait for the engines: bounds memory, keeps engine batches large. */
  readonly maxUnflushedBytes: number;
  readonly logger: Logger;
  /** A task that is meant for this worker could run here at once. Said again every second until it does. */
  readonly onWarm: (taskId: string) => void;
  readonly onReplayed: (records: number) => void;
}

interface Slot {
  readonly taskId: string;
  /** Set when its state is open. */
  task: StandbyTask | undefined;
  dropped: boolean;
  /** Never rejects. */
  opening: Promise<void>;
}

export class StandbyTasks {
  readonly #options: StandbyTasksOptions;
  readonly #logger: Logger;
  readonly #retries: Retries;
  readonly #slots = new Map<string, Slot>();
  readonly #closing = new Set<Promise<void>>();
  #wanted: readonly string[] = [];
  #warmups: readonly string[] = [];
  #reader: LogReader | undefined;
  #loop: Promise<void> | undefined;
  #looking: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #flushedAt = performance.now();
  readonly #stop = new AbortController();

  constructor(options: StandbyTasksOptions) {
    this.#options = options;
    this.#logger = options.logger;
    this.#retries = new Retries(options.logger);
  }

  /** Held here, open or on their way. */
  get taskIds(): string[] {
    return [...this.#slots.keys()];
  }

  get tasks(): StandbyTask[] {
    return [...this.#slots.values()].flatMap(({ task }) => (task === undefined ? [] : [task]));
  }

  get(taskId: string): StandbyTask | undefined {
    return this.#slots.get(taskId)?.task;
  }

  info(): StandbyInfo[] {
    return this.tasks.map(({ taskId, partition, lag, stalenessMs }) => ({
      taskId,
      partition,
      warmup: this.#warmups.includes(taskId),
      lag: lag ?? null,
      stalenessMs: Number.isFinite(stalenessMs) ? Math.round(stalenessMs) : null,
    }));
  }

  /** Copies that failed and have not caught up since; all, when none can be read. */
  get failing(): number {
    const { failing } = this.#retries;
    return failing.includes(READING) ? this.#wanted.length : failing.length;
  }

  /** From now on these; opening and closing go on in the background. */
  follow(taskIds: readonly string[], warmups: readonly string[]): void {
    this.#wanted = taskIds;
    this.#warmups = warmups;
    for (const taskId of this.taskIds) if (!taskIds.includes(taskId)) this.#drop(taskId);
    for (const name of this.#retries.failing) if (name !== READING && !taskIds.includes(name)) this.#retries.forget(name);
    for (const taskId of taskIds) this.#openIfWanted(taskId);
  }

  /** The copy's state, for the task itself: it is no standby any more. Undefined when there is none that can be used. */
  async take(taskId: string): Promise<TaskState | undefined> {
    this.#wanted = this.#wanted.filter((wanted) => wanted !== taskId);
    this.#retries.forget(taskId);
    const slot = this.#slots.get(taskId);
    if (slot === undefined) return undefined;
    this.#forget(slot);
    await slot.opening;
    const { task } = slot;
    if (task === undefined) return undefined;
    try {
      await task.release();
      return task.state;
    } catch (error) {
      this.#logger.warn({ taskId, err: error }, "the standby's state cannot be used: the task is restored");
      await task.state.close();
      return undefined;
    }
  }

  async close(): Promise<void> {
    this.#stop.abort();
    clearInterval(this.#timer);
    for (const taskId of this.taskIds) this.#drop(taskId);
    this.#reader?.wakeup();
    await Promise.all([...this.#closing, this.#loop, this.#looking]);
    await this.#reader?.close();
  }

  #openIfWanted(taskId: string): void {
    if (this.#stop.signal.aborted || this.#slots.has(taskId) || !this.#wanted.includes(taskId)) return;
    const slot: Slot = { taskId, task: undefined, dropped: false, opening: Promise.resolve() };
    this.#slots.set(taskId, slot);
    slot.opening = this.#bringUp(slot).catch((error: unknown) => this.#restart(slot, error));
  }

  async #bringUp(slot: Slot): Promise<void> {
    const { taskId } = slot;
    const { log, changelogOf, storesOf, opener } = this.#options;
    const id = parseTaskId(taskId);
    const stores = id && storesOf(id.subtopology);
    if (slot.dropped || id === undefined || stores === undefined) return;
    const state = await opener.openState(taskId, stores, () => !slot.dropped);
    try {
      const spans = slot.dropped ? [] : await changelogSpans(log.admin, changelogOf, stores, id.partition, state);
      if (slot.dropped) return await state.close();
      slot.task = new StandbyTask(id, stores, state, spans);
    } catch (error) {
      await state.close();
      throw error;
    }
    this.#logger.info({ taskId, position: slot.task.position }, "standby opened");
    this.#assign();
    this.#loop ??= this.#run();
    this.#timer ??= setInterval(() => this.#look(), ENDS_INTERVAL_MS).unref();
    this.#look();
  }

  #drop(taskId: string): void {
    const slot = this.#slots.get(taskId);
    if (slot === undefined) return;
    this.#forget(slot);
    const closing = this.#shut(slot).finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
  }

  #forget(slot: Slot): void {
    slot.dropped = true;
    if (this.#slots.get(slot.taskId) === slot) this.#slots.delete(slot.taskId);
    this.#assign();
  }

  /** What was read is kept for the next time. */
  async #shut(slot: Slot): Promise<void> {
    await slot.opening;
    const { task } = slot;
    if (task === undefined) return;
    try {
      await task.release();
      await this.#options.directories.savePosition(task.taskId, task.state);
    } catch (error) {
      this.#logger.warn({ taskId: task.taskId, err: error }, "could not write a standby's last rows: they will be read again");
    }
    await task.state.close();
  }

  /** The copy is thrown away if that is what mends it, and made again. */
  async #restart(slot: Slot, error: unknown): Promise<void> {
    if (slot.dropped) return;
    const { taskId } = slot;
    const pauseMs = this.#retries.failed(taskId, error, "a standby failed");
    this.#forget(slot);
    await slot.task?.release().catch(() => undefined); // it has failed already
    await slot.task?.state.close();
    if (isMendedByWipe(error) || isBehindChangelog(error) || (error instanceof RuntimeError && error.code === "state-mismatch"))
      await this.#options.opener.wipe(taskId);
    setTimeout(() => this.#openIfWanted(taskId), pauseMs).unref();
  }

  #assign(): void {
    const { log, isolation, maxFetchedBytes } = this.#options;
    if (this.#stop.signal.aborted || (this.#reader === undefined && this.tasks.length === 0)) return;
    this.#reader ??= log.reader({ isolation, maxBufferedBytes: maxFetchedBytes });
    this.#reader.assign(
      this.tasks.flatMap(({ changelogs }) => changelogs.map(({ topic, partition, position }) => ({ topic, partition, offset: position }))),
    );
    this.#reader.wakeup();
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      try {
        for (const batch of (await this.#reader?.poll(POLL_WAIT_MS)) ?? []) {
          await this.#apply(batch);
          batch.release?.();
        }
        this.#retries.worked(READING, "standbys can read their changelogs again");
        await this.#flushDue();
      } catch (error) {
        await this.#onReadError(error);
      }
    }
  }

  async #apply(batch: FetchedBatch): Promise<void> {
    const task = this.tasks.find(({ changelogs }) =>
      changelogs.some(({ topic, partition }) => topic === batch.topic && partition === batch.partition),
    );
    if (task === undefined) return;
    await this.#guarded(task, async () => this.#options.onReplayed(await task.apply(batch)));
  }

  async #flushDue(): Promise<void> {
    const bytes = this.tasks.reduce((sum, { state }) => sum + state.restoredBytes, 0);
    if (bytes < this.#options.maxUnflushedBytes && performance.now() - this.#flushedAt < FLUSH_INTERVAL_MS) return;
    this.#flushedAt = performance.now();
    for (const task of this.tasks) {
      if (task.state.restoredBytes === 0) continue;
      await this.#guarded(task, async () => {
        await task.flush();
        await this.#options.directories.savePosition(task.taskId, task.state);
      });
    }
  }

  async #guarded(task: StandbyTask, step: () => Promise<void>): Promise<void> {
    try {
      await step();
    } catch (error) {
      const slot = this.#slots.get(task.taskId);
      if (slot?.task === task) await this.#restart(slot, error);
    }
  }

  async #onReadError(error: unknown): Promise<void> {
    const behind = isBehindChangelog(error) ? error.partitions : [];
    const failed = this.tasks.filter(({ changelogs }) =>
      behind.some(({ topic, partition }) => changelogs.some((changelog) => changelog.topic === topic && changelog.partition === partition)),
    );
    for (const { taskId } of failed) {
      const slot = this.#slots.get(taskId);
      if (slot !== undefined) await this.#restart(slot, error);
    }
    if (failed.length > 0) return;
    const pauseMs = this.#retries.failed(READING, error, "standbys cannot read their changelogs");
    await delay(pauseMs, undefined, { signal: this.#stop.signal }).catch(() => undefined);
    this.#assign();
  }

  #look(): void {
    this.#looking ??= this.#lookAtEnds()
      .catch((error: unknown) =>
        this.#logger.debug({ err: error }, "could not see where changelogs end: standbys look staler than they are"),
      )
      .finally(() => (this.#looking = undefined));
  }

  async #lookAtEnds(): Promise<void> {
    const { log, isolation, onWarm, acceptableLag } = this.#options;
    const tasks = this.tasks;
    const askedAt = performance.now();
    const partitions = tasks.flatMap(({ changelogs }) => changelogs.map(({ topic, partition }) => ({ topic, partition })));
    if (partitions.length === 0) return;
    const ends = await log.admin.listOffsets(partitions, "latest", isolation);
    for (const task of tasks) {
      task.observe(ends, askedAt);
      if (task.lag === 0 && task.isTailing) this.#retries.worked(task.taskId, "a standby that failed has caught up");
    }
    for (const { taskId, isTailing, lag } of tasks)
      if (isTailing && this.#warmups.includes(taskId) && lag !== undefined && lag <= acceptableLag) onWarm(taskId);
  }
}

/** The changelog does not reach back to what the copy needs next. */
function isBehindChangelog(error: unknown): error is LogError {
  return error instanceof LogError && error.code === "offset-out-of-range";
}
