/** Removes state directories of tasks that have long been elsewhere: now and then, beside the worker. */
import { rmdir, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "pino";
import { MAX_CHECKPOINT_AGE_MS } from "../state/changelog.ts";
import { TaskState } from "../state/task-state.ts";
import { isStateError } from "./task-opener.ts";
import { isFileError, type TaskDirectories } from "./task-directories.ts";

/** State of this age is never built upon again (MAX_CHECKPOINT_AGE_MS); a day more for clocks. */
export const MAX_ABANDONED_MS = MAX_CHECKPOINT_AGE_MS + 24 * 3_600_000;

/** Disk space can wait; a look costs a directory listing a task. */
const CLEAN_INTERVAL_MS = 3_600_000;

export class StateCleaner {
  readonly #directories: TaskDirectories;
  readonly #isAssigned: (taskId: string) => boolean;
  readonly #logger: Logger;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;

  /** @param isAssigned given to this worker, in whatever status, or as a standby. */
  constructor(directories: TaskDirectories, isAssigned: (taskId: string) => boolean, logger: Logger) {
    this.#directories = directories;
    this.#isAssigned = isAssigned;
    this.#logger = logger;
  }

  /** Cleans at once, in the background, and then every hour. */
  start(): void {
    if (this.#directories.inMemory) return;
    const run = (): void => {
      this.#running ??= this.#runLogged().finally(() => (this.#running = undefined));
    };
    this.#timer = setInterval(run, CLEAN_INTERVAL_MS).unref();
    run();
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#running;
  }

  /** `now` in epoch ms. Returns the tasks whose directories are gone. One that is locked, assigned or lately written to is left alone. */
  async clean(now: number = Date.now()): Promise<string[]> {
    const removed: string[] = [];
    for (const taskId of this.#directories.list()) {
      const directory = this.#directories.of(taskId);
      if (this.#isAssigned(taskId) || now - (await lastWrittenMs(directory)) < MAX_ABANDONED_MS) continue;
      try {
        // Each takes the engine's lock first: another worker may have the directory open.
        await TaskState.wipeDirectory(directory, "rocksdb");
        await TaskState.wipeDirectory(directory, "level");
        await rmdir(directory).catch(ignoreMissing);
        await this.#directories.forgetPosition(taskId);
        removed.push(taskId);
        this.#logger.info({ taskId, directory }, "removed the state of a task that has long been elsewhere");
      } catch (error) {
        if (!isStateError(error, "locked")) throw error;
      }
    }
    return removed;
  }

  async #runLogged(): Promise<void> {
    try {
      await this.clean();
    } catch (error) {
      this.#logger.warn({ err: error }, "could not clean up old state directories; trying again in an hour");
    }
  }
}

/** Newest change of a file, the engines' own folders included. */
async function lastWrittenMs(directory: string): Promise<number> {
  let newest = 0;
  for (const entry of await readdir(directory, { recursive: true }))
    newest = Math.max(
      newest,
      await stat(join(directory, entry)).then(
        ({ mtimeMs }) => mtimeMs,
        () => 0,
      ),
    );
  return Math.max(newest, (await stat(directory)).mtimeMs);
}

function ignoreMissing(error: unknown): void {
  if (!isFileError(error, "ENOENT")) throw error;
}
