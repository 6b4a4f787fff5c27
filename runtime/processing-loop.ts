/** The loop's turn: fetch if little is left, process one slice, commit if one is due. The worker calls it under its mutex. */
import type { Logger } from "pino";
import type { LogReader, Trouble } from "../eventlog/port.ts";
import { Checkpointer } from "./checkpointer.ts";
import type { Committer } from "./committer.ts";
import { CorruptTaskError, ofTask } from "./corrupt-tasks.ts";
import type { OffsetReset } from "./offset-reset.ts";
import type { Task } from "./task.ts";
import type { TaskDirectories } from "./task-directories.ts";
import type { TaskManager } from "./task-manager.ts";
import type { WorkerMetrics } from "./worker-metrics.ts";

/** The longest synchronous slice: between two of them heartbeats, HTTP and sockets are served (design, section 4). */
const SLICE_MS = 10;
/** Fetched and unprocessed bytes below which more is taken from the reader, which has it ready: a few slices. */
const LOW_WATER_BYTES = 1024 * 1024;
/** The longest wait for records; everything that cannot wait wakes the reader. */
const IDLE_WAIT_MS = 1_000;

export class ProcessingLoop {
  readonly #reader: LogReader;
  readonly #tasks: TaskManager;
  readonly #committer: Committer;
  readonly #checkpointer: Checkpointer;
  readonly #metrics: WorkerMetrics;
  readonly #offsetReset: OffsetReset;
  readonly #logger: Logger;
  #nextTask = 0;
  #paused = false;
  #draining: { readonly tasks: readonly Task[]; readonly drained: () => void } | undefined;
  /** Ends the wait: set before the reader is woken, so that a wake-up between two polls is not lost. */
  #woken = false;

  constructor(
    reader: LogReader,
    tasks: TaskManager,
    committer: Committer,
    options: {
      readonly checkpointIntervalMs: number;
      readonly directories: TaskDirectories;
      readonly maxUncheckpointedBytes: number;
      readonly offsetReset: OffsetReset;
      readonly metrics: WorkerMetrics;
      readonly logger: Logger;
    },
  ) {
    this.#reader = reader;
    this.#tasks = tasks;
    this.#committer = committer;
    this.#checkpointer = new Checkpointer(options.checkpointIntervalMs, options.maxUncheckpointedBytes, options.directories);
    this.#offsetReset = options.offsetReset;
    this.#logger = options.logger;
    this.#metrics = options.metrics;
  }

  wake(): void {
    this.#woken = true;
    this.#reader.wakeup();
  }

  /** Of reading the sources. */
  get readTrouble(): Trouble | undefined {
    return this.#reader.trouble;
  }

  get checkpointTrouble(): Trouble | undefined {
    return this.#checkpointer.trouble;
  }

  get paused(): boolean {
    return this.#paused;
  }

  /** What has been fetched and not processed yet waits in its task. */
  pause(): void {
    this.#paused = true;
    this.assign();
    this.wake();
  }

  resume(): void {
    this.#paused = false;
    this.assign();
    this.wake();
  }

  /** State that cannot be used costs its task a rebuild, and all of them what is not committed: their output goes out together. */
  async turn(): Promise<void> {
    try {
      await this.#turn();
    } catch (error) {
      if (!(error instanceof CorruptTaskError)) throw error;
      this.#tasks.corrupt.mark(error.taskId, error);
      this.#logger.warn({ taskId: error.taskId, err: error }, "local state cannot be used: rebuilding this task from its changelog");
      await this.#committer.settled();
      this.#committer.failWith(error);
    }
  }

  async #turn(): Promise<void> {
    const committer = this.#committer;
    const running = this.#tasks.running;
    if (this.#paused) return this.#pausedTurn(running);
    const backlog = await this.#fetch(running);
    if (this.#checkpointer.isBehind(running)) {
      this.#checkpointer.tick(running, performance.now(), this.#logger);
      return this.#checkpointer.settled();
    }
    if (!committer.isFull(running)) {
      this.#process(running);
      for (const task of running) ofTask(task.taskId, () => task.punctuateWallClock(Date.now()));
    } else if (committer.busy) return committer.settled();
    this.#commitIfDue(running, backlog);
  }

  #commitIfDue(running: readonly Task[], backlog: boolean): void {
    const committer = this.#committer;
    if (committer.failure !== undefined) return; // it failed during this turn: the next one recovers
    if (!committer.busy && (this.#draining !== undefined || committer.dueInMs(running, backlog, performance.now()) === 0)) {
      committer.begin(running);
      this.#suspendFrozen();
    }
    this.#checkpointer.throwIfCorrupt();
    this.#checkpointer.tick(running, performance.now(), this.#logger);
  }

  /**
   * The next commit is the last of these running tasks; the others go on. Resolves when it is over, whichever way it went, or the
   * loop has ended. One call at a time.
   */
  drain(tasks: readonly Task[]): Promise<void> {
    if (tasks.length === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#draining = { tasks, drained: resolve };
      this.wake();
    });
  }

  /** No turn comes any more. */
  ended(): void {
    this.#draining?.drained();
    this.#draining = undefined;
  }

  /** Fetches from where each running task has got to; nothing while paused. */
  assign(): void {
    this.#reader.assign(
      (this.#paused ? [] : this.#tasks.running).flatMap((task) =>
        task.queues.map((queue) => ({ topic: queue.topic, partition: queue.partition, offset: queue.fetchPosition })),
      ),
    );
  }

  /** Everything processed so far, committed. Rejects with the commit's error. */
  async commitAll(): Promise<void> {
    const committer = this.#committer;
    await this.#settledOrThrow();
    const open = this.#tasks.up;
    if (committer.dueInMs(open, false, Infinity) === Infinity) return;
    committer.begin(open);
    await this.#settledOrThrow();
  }

  /** All that the draining tasks have made is in the commit just begun: nothing of theirs may come into the next one. */
  #suspendFrozen(): void {
    if (this.#draining === undefined) return;
    const { tasks, drained } = this.#draining;
    this.#draining = undefined;
    for (const task of tasks) task.suspend();
    this.assign();
    void this.#committer.settled().then(drained);
  }

  async #settledOrThrow(): Promise<void> {
    await this.#committer.settled();
    const { failure } = this.#committer;
    if (failure !== undefined) throw failure;
  }

  /** Neither records nor timers; what was processed before the pause is committed and checkpointed. */
  async #pausedTurn(running: readonly Task[]): Promise<void> {
    const committer = this.#committer;
    const wait = this.#woken ? 0 : IDLE_WAIT_MS;
    this.#woken = false;
    const due = committer.busy ? Infinity : committer.dueInMs(running, false, performance.now());
    await this.#reader.poll(Math.min(wait, due));
    this.#commitIfDue(running, false);
  }

  /** Returns whether more is waiting than one slice can take. */
  async #fetch(running: readonly Task[]): Promise<boolean> {
    let buffered = 0;
    for (const task of running) buffered += task.bufferedBytes;
    if (buffered < LOW_WATER_BYTES) {
      const startedAt = performance.now();
      const batches = await this.#offsetReset.poll(this.#reader, buffered > 0 ? 0 : this.#idleWaitMs(running));
      const records = batches.reduce((sum, batch) => sum + batch.records.count, 0);
      this.#metrics.polled(performance.now() - startedAt, records);
      const prepared: Promise<void>[] = [];
      for (const batch of batches) {
        const task = running.find((candidate) => candidate.partition === batch.partition && candidate.reads(batch.topic));
        const promise = task?.add(batch);
        if (promise !== undefined) prepared.push(promise);
      }
      if (prepared.length > 0) await Promise.all(prepared);
    }
    return buffered > 0;
  }

  #idleWaitMs(running: readonly Task[]): number {
    let wait = this.#woken ? 0 : IDLE_WAIT_MS;
    this.#woken = false;
    if (!this.#committer.busy) wait = Math.min(wait, this.#committer.dueInMs(running, false, performance.now()));
    for (const task of running) wait = Math.min(wait, task.nextWallClockAt - Date.now());
    return Math.max(0, wait);
  }

  /** Tasks take turns: the one after the last to be cut short begins. */
  #process(running: readonly Task[]): void {
    const startedAt = performance.now();
    const deadline = startedAt + SLICE_MS;
    let now = startedAt;
    for (let i = 0; i < running.length && now < deadline; i++) {
      const task = running[this.#nextTask % running.length];
      this.#nextTask = (this.#nextTask + 1) % running.length;
      ofTask(task.taskId, () => task.process(deadline));
      now = performance.now();
    }
    this.#metrics.processedFor(now - startedAt);
  }
}
