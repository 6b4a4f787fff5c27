/** The runtime's errors: a stable code each, and what the embedding program may do. */

/**
 * - `topology-mismatch`: topics or partition counts do not fit the topology; a person must change something.
 * - `illegal-transition`: a bug in the runtime's state machines.
 * - `processing-failed`: a processor or serde threw and the handler says fail.
 * - `task-not-ready`: the task is not running here now.
 * - `state-busy`: another process holds the task's state directory.
 * - `state-mismatch`: local state does not belong to the changelog it should continue; it is rebuilt.
 * - `not-running`: the worker was stopped or has failed.
 */
export type RuntimeErrorCode =
  "topology-mismatch" | "illegal-transition" | "processing-failed" | "task-not-ready" | "state-busy" | "state-mismatch" | "not-running";

/** An output record that no topic takes: its source record is a dead letter. Handled as what a processor throws, so no RuntimeError. */
export class OutputTooLargeError extends Error {
  override readonly name = "OutputTooLargeError";
  /** As `dlq.reason` has it. */
  readonly reason = "output-too-large";
  constructor(topic: string, bytes: number, maxBytes: number) {
    super(`an output record for ${topic} has ${bytes} bytes, over ${maxBytes}`);
  }
}

export class RuntimeError extends Error {
  override readonly name = "RuntimeError";
  readonly code: RuntimeErrorCode;
  constructor(code: RuntimeErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}
