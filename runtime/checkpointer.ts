/** Moves committed rows into the state engines beside the loop: one task at a time, every so often or so many bytes. */
import type { Logger } from "pino";
import { CorruptTaskError, isMendedByWipe } from "./corrupt-tasks.ts";
import type { Task } from "./task.ts";
import type { TaskDirectories } from "./task-directories.ts";

/** A task with more committed, uncheckpointed bytes than this is checkpointed at once: bounds memory and replay. */
const MAX_UNCHECKPOINTED_BYTES = 32 * 1024 * 1024;

export class Checkpointer {
  readonly #intervalMs: number;
  readonly #directories: TaskDirectories;
  readonly #lastAt = new WeakMap<Task, number>();
  #busy = false;
  #corrupt: CorruptTaskError | undefined;

  constructor(intervalMs: number, directories: TaskDirectories) {
    this.#intervalMs = intervalMs;
    this.#directories = directories;
  }

  /** @throws CorruptTaskError when a checkpoint found the engine's files damaged. Says so once. */
  throwIfCorrupt(): void {
    const error = this.#corrupt;
    this.#corrupt = undefined;
    if (error !== undefined) throw error;
  }

  /** Starts the checkpoint of at most one task that is due. A failed one is tried again: the changelog still has the rows. */
  tick(tasks: readonly Task[], logger: Logger): void {
    if (this.#busy) return;
    const now = performance.now();
    for (const task of tasks) {
      const bytes = task.state.uncheckpointedBytes;
      const lastAt = this.#lastAt.get(task);
      if (lastAt === undefined) this.#lastAt.set(task, now);
      if (bytes === 0 || (bytes < MAX_UNCHECKPOINTED_BYTES && now - (lastAt ?? now) < this.#intervalMs)) continue;
      this.#lastAt.set(task, now);
      this.#busy = true;
      void task.state
        .checkpoint()
        .then(() => this.#directories.savePosition(task.taskId, task.state))
        .catch((error: unknown) => {
          if (isMendedByWipe(error)) this.#corrupt = new CorruptTaskError(task.taskId, error);
          else if (task.status !== "closed") logger.error({ taskId: task.taskId, err: error }, "checkpoint failed; it will be tried again");
        })
        .finally(() => (this.#busy = false));
      return;
    }
  }
}
