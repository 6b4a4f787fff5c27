/** The loop's turn: fetch if little is left, process one slice, commit if one is due. The worker calls it under its mutex. */
import type { Logger } from "pino";
import type { LogReader } from "../eventlog/port.ts";
import { Checkpointer } from "./checkpointer.ts";
import type { Committer } from "./committer.ts";
import type { OffsetReset } from "./offset-reset.ts";
import type { Task } from "./task.ts";
import type { TaskManager } from "./task-manager.ts";

/** The longest synchronous slice: between two of them heartbeats, HTTP and sockets are served (design, section 4). */
const SLICE_MS = 10;
/** Fetched and unprocessed bytes below which the next fetch is asked for. */
const LOW_WATER_BYTES = 2 * 1024 * 1024;
/** The longest wait for records; everything that cannot wait wakes the reader. */
const IDLE_WAIT_MS = 1_000;

export class ProcessingLoop {
  readonly #reader: LogReader;
  readonly #tasks: TaskManager;
  readonly #committer: Committer;
  readonly #checkpointer: Checkpointer;
  readonly #offsetReset: OffsetReset;
  readonly #logger: Logger;
  #nextTask = 0;
  /** Ends the wait: set before the reader is woken, so that a wake-up between two polls is not lost. */
  #woken = false;

  constructor(
    reader: LogReader,
    tasks: TaskManager,
    committer: Committer,
    options: { readonly checkpointIntervalMs: number; readonly offsetReset: OffsetReset; readonly logger: Logger },
  ) {
    this.#reader = reader;
    this.#tasks = tasks;
    this.#committer = committer;
    this.#checkpointer = new Checkpointer(options.checkpointIntervalMs);
    this.#offsetReset = options.offsetReset;
    this.#logger = options.logger;
  }

  wake(): void {
    this.#woken = true;
    this.#reader.wakeup();
  }

  async turn(): Promise<void> {
    const committer = this.#committer;
    const running = this.#tasks.running;
    const backlog = await this.#fetch(running);
    if (committer.isFull && committer.busy) return committer.settled();
    this.#process(running);
    for (const task of running) task.punctuateWallClock(Date.now());
    if (!committer.busy && committer.dueInMs(running, backlog, performance.now()) === 0) committer.begin(running);
    this.#checkpointer.tick(running, this.#logger);
  }

  /** Fetches from where each running task has got to. */
  assign(): void {
    this.#reader.assign(
      this.#tasks.running.flatMap((task) =>
        task.queues.map((queue) => ({ topic: queue.topic, partition: queue.partition, offset: queue.fetchPosition })),
      ),
    );
  }

  /** Everything processed so far, committed. Rejects with the commit's error. */
  async commitAll(): Promise<void> {
    const committer = this.#committer;
    await this.#settledOrThrow();
    const open = this.#tasks.tasks.filter((task) => task.status === "running" || task.status === "suspended");
    if (committer.dueInMs(open, false, Infinity) === Infinity) return;
    committer.begin(open);
    await this.#settledOrThrow();
  }

  async #settledOrThrow(): Promise<void> {
    await this.#committer.settled();
    const { failure } = this.#committer;
    if (failure !== undefined) throw failure;
  }

  /** Returns whether more is waiting than one slice can take. */
  async #fetch(running: readonly Task[]): Promise<boolean> {
    let buffered = 0;
    for (const task of running) buffered += task.bufferedBytes;
    if (buffered < LOW_WATER_BYTES) {
      const batches = await this.#offsetReset.poll(this.#reader, buffered > 0 ? 0 : this.#idleWaitMs(running));
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
    const deadline = performance.now() + SLICE_MS;
    for (let i = 0; i < running.length; i++) {
      const task = running[this.#nextTask % running.length];
      this.#nextTask = (this.#nextTask + 1) % running.length;
      task.process(deadline);
      if (performance.now() >= deadline) return;
    }
  }
}
