/** Moves committed rows into the state engines beside the loop: one task at a time, every so often or so many bytes. */
import type { Logger } from "pino";
import { oldestTrouble } from "../eventlog/oldest-trouble.ts";
import type { Trouble } from "../eventlog/port.ts";
import { CorruptTaskError, isMendedByWipe } from "./corrupt-tasks.ts";
import { messageOf } from "./errors.ts";
import type { Task } from "./task.ts";
import type { TaskDirectories } from "./task-directories.ts";

/** Rows of all tasks over the bound by this much: the engines are slower than the log, and processing waits for them. */
const BEHIND_FACTOR = 2;
/** Between two attempts after one failed, while processing waits. */
const RETRY_MS = 200;

export class Checkpointer {
  readonly #intervalMs: number;
  readonly #directories: TaskDirectories;
  readonly #maxBytes: number;
  readonly #lastAt = new WeakMap<Task, number>();
  /** Of any task. */
  #startedAt = -Infinity;
  #underWay: Promise<void> | undefined;
  #corrupt: CorruptTaskError | undefined;
  readonly #failing = new Map<Task, Trouble>();

  /** @param maxBytes committed rows of all tasks that wait: above it the task with the most is checkpointed at once; bounds memory and replay. */
  constructor(intervalMs: number, maxBytes: number, directories: TaskDirectories) {
    this.#intervalMs = intervalMs;
    this.#maxBytes = maxBytes;
    this.#directories = directories;
  }

  /** @throws CorruptTaskError when a checkpoint found the engine's files damaged. Says so once. */
  throwIfCorrupt(): void {
    const error = this.#corrupt;
    this.#corrupt = undefined;
    if (error !== undefined) throw error;
  }

  /** Nothing more may be processed before a checkpoint is done. */
  isBehind(tasks: readonly Task[]): boolean {
    return uncheckpointedBytes(tasks) >= BEHIND_FACTOR * this.#maxBytes;
  }

  /** Of the task whose checkpoints have failed longest. */
  get trouble(): Trouble | undefined {
    for (const task of this.#failing.keys()) if (task.status === "closed") this.#failing.delete(task);
    return oldestTrouble(this.#failing.values());
  }

  /** Resolves when no checkpoint is under way; never rejects. */
  async settled(): Promise<void> {
    await this.#underWay;
  }

  /**
   * Starts the checkpoint of at most one task that is due. A failed one is tried again: the changelog still has the rows.
   * `now` is performance.now().
   */
  tick(tasks: readonly Task[], now: number, logger: Logger): void {
    if (this.#underWay !== undefined) return;
    const task = this.#next(tasks, now);
    if (task === undefined) return;
    this.#lastAt.set(task, now);
    this.#startedAt = now;
    this.#underWay = this.#checkpoint(task, logger).finally(() => (this.#underWay = undefined));
  }

  /**
   * With too much in memory the task that has the most of it, else the one that has waited longest; then spread over the interval, for
   * all tasks one after the other would be a burst of work that every record waits for.
   */
  #next(tasks: readonly Task[], now: number): Task | undefined {
    const isOver = uncheckpointedBytes(tasks) >= this.#maxBytes;
    if (!isOver && now - this.#startedAt < this.#intervalMs / tasks.length) return undefined;
    let next: Task | undefined;
    let most = 0;
    for (const task of tasks) {
      const bytes = task.state.uncheckpointedBytes;
      let lastAt = this.#lastAt.get(task);
      if (lastAt === undefined) this.#lastAt.set(task, (lastAt = now));
      const urgency = isOver ? bytes : now - lastAt;
      if (bytes === 0 || (!isOver && urgency < this.#intervalMs) || urgency <= most) continue;
      next = task;
      most = urgency;
    }
    return next;
  }

  async #checkpoint(task: Task, logger: Logger): Promise<void> {
    try {
      await task.state.checkpoint();
      await this.#directories.savePosition(task.taskId, task.state);
      this.#failing.delete(task);
    } catch (error) {
      if (isMendedByWipe(error)) this.#corrupt = new CorruptTaskError(task.taskId, error);
      else if (task.status !== "closed") {
        if (!this.#failing.has(task)) {
          const first = new Error(`checkpoint of task ${task.taskId}: ${messageOf(error)}`, { cause: error });
          this.#failing.set(task, { since: performance.now(), error: first });
        }
        logger.debug({ taskId: task.taskId, err: error }, "checkpoint failed; it will be tried again");
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  }
}

/** Of rows that the tasks' engines do not have yet. */
export function uncheckpointedBytes(tasks: readonly Task[]): number {
  let bytes = 0;
  for (const task of tasks) bytes += task.state.uncheckpointedBytes;
  return bytes;
}
