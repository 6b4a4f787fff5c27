/** The runtime's errors: a stable code each, and what the embedding program may do. */

/**
 * - `topology-mismatch`: topics or partition counts do not fit the topology; a person must change something.
 * - `illegal-transition`: a bug in the runtime's state machines.
 * - `processing-failed`: a processor or serde threw and the handler says fail.
 * - `record-too-large`: a sink's record is larger than its topic takes; handlers are given it. Or the dead-letter topic takes none.
 * - `row-too-large`: a store's row is larger than its changelog takes; a person must raise that, or the topology keep less under a key.
 * - `task-not-ready`: the task is not running here now.
 * - `state-busy`: another process holds the task's state directory.
 * - `state-mismatch`: local state does not belong to the changelog it should continue; it is rebuilt.
 * - `state-corrupt`: a task's local rows cannot be read; it is rebuilt, and the worker fails when that doesn't help.
 * - `recovery-timeout`: the log has not taken a commit for too long; another worker, or a later one, may have more luck.
 * - `application-shut-down`: a worker asked all workers of the application to stop; the message says which and why.
 * - `too-little-memory`: the ceiling has no room for the cache and the least of everything else.
 * - `not-running`: the worker was stopped or has failed.
 */
export type RuntimeErrorCode =
  | "topology-mismatch"
  | "illegal-transition"
  | "processing-failed"
  | "record-too-large"
  | "row-too-large"
  | "task-not-ready"
  | "state-busy"
  | "state-mismatch"
  | "state-corrupt"
  | "recovery-timeout"
  | "application-shut-down"
  | "too-little-memory"
  | "not-running";

export class RuntimeError extends Error {
  override readonly name = "RuntimeError";
  readonly code: RuntimeErrorCode;
  constructor(code: RuntimeErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
