/** Tasks whose local state turned out to be unusable while they ran: each is wiped and restored when it is opened next. */
import { RuntimeError } from "./errors.ts";

/**
 * A task that is corrupt again so soon after its rebuild has a bad disk or a changelog that is corrupt itself: rebuilding
 * would go on for ever. Longer than any restore that was measured (650,000 records/s).
 */
const REBUILD_GAP_MS = 10 * 60_000;

export class CorruptTasks {
  readonly #rebuiltAt = new Map<string, number>();
  readonly #waiting = new Set<string>();

  /** @throws RuntimeError `state-corrupt` when its last rebuild is too recent. */
  mark(taskId: string, error: unknown): void {
    const before = this.#rebuiltAt.get(taskId);
    if (before !== undefined && performance.now() - before < REBUILD_GAP_MS)
      throw new RuntimeError("state-corrupt", `the state of task ${taskId} is corrupt again, minutes after it was rebuilt`, error);
    this.#rebuiltAt.set(taskId, performance.now());
    this.#waiting.add(taskId);
  }

  /** Its rows must not be read or written any more. */
  has(taskId: string): boolean {
    return this.#waiting.has(taskId);
  }

  /** Whether the task is to be wiped now; says so once. */
  take(taskId: string): boolean {
    return this.#waiting.delete(taskId);
  }
}

/** Runs a step of the task; an error that wiping mends comes out as a CorruptTaskError. */
export function ofTask<T>(taskId: string, step: () => T): T {
  try {
    return step();
  } catch (error) {
    throw isMendedByWipe(error) ? new CorruptTaskError(taskId, error) : error;
  }
}

export class CorruptTaskError extends RuntimeError {
  readonly taskId: string;
  constructor(taskId: string, cause: unknown) {
    super(
      "state-corrupt",
      `the local state of task ${taskId} cannot be used: ${cause instanceof Error ? cause.message : String(cause)}`,
      cause,
    );
    this.taskId = taskId;
  }
}

/** The local copy is the trouble, and the changelog has another. */
export function isMendedByWipe(error: unknown): boolean {
  return error instanceof Error && error.name === "StateError" && "action" in error && error.action === "wipe";
}
