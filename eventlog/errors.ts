/** The event log's errors: one class, a stable code, and what the caller may do. */

/**
 * - `fenced`: another took this identity over; stop, keep local state.
 * - `abortable`: abort the transaction, rewind, go on.
 * - `retriable`: nothing happened; the same call may be made again.
 * - `unknown-outcome`: it may or may not have happened; find out (InitProducerId, committed offsets) before going on.
 * - `fatal`: retrying cannot help; a person must change something.
 */
export type LogErrorAction = "fenced" | "abortable" | "retriable" | "unknown-outcome" | "fatal";

/** Stable codes with the action each asks for. */
export const LOG_ERROR_ACTIONS = {
  fenced: "fenced",
  "stale-generation": "fenced",
  "transaction-aborted": "abortable",
  "unknown-outcome": "unknown-outcome",
  unavailable: "retriable",
  "timed-out": "retriable",
  "unstable-offsets": "retriable",
  "buffer-full": "retriable",
  "offset-out-of-range": "fatal",
  "record-too-large": "fatal",
  "unknown-topic": "fatal",
  unauthorized: "fatal",
  "corrupt-batch": "fatal",
  "batch-too-large": "fatal",
  "unsupported-compression": "fatal",
  /** A write failed before, so nothing is written until the log is opened anew (embedded log). */
  "write-failed": "fatal",
  "invalid-state": "fatal",
  closed: "fatal",
} as const satisfies Record<string, LogErrorAction>;

export type LogErrorCode = keyof typeof LOG_ERROR_ACTIONS;

/** A batch as it was sent: its bytes, header included, and records. Of one record, that record is what is too large. */
export interface RefusedBatch {
  readonly bytes: number;
  readonly records: number;
}

export class LogError extends Error {
  override readonly name = "LogError";
  readonly code: LogErrorCode;
  readonly action: LogErrorAction;
  /** The partitions the error speaks of, where it does. */
  readonly partitions: readonly { readonly topic: string; readonly partition: number }[];
  /** With `record-too-large`: the batch that was refused. */
  readonly refused: RefusedBatch | undefined;

  constructor(
    code: LogErrorCode,
    message: string,
    options: {
      cause?: unknown;
      partitions?: readonly { topic: string; partition: number }[];
      action?: LogErrorAction;
      refused?: RefusedBatch;
    } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.action = options.action ?? LOG_ERROR_ACTIONS[code];
    this.partitions = options.partitions ?? [];
    this.refused = options.refused;
  }
}
