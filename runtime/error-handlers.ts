/** What a worker does about a record that cannot be read, processed or written. Kafka Streams' exception handlers (KIP-161, KIP-1033, KIP-1034). */

/**
 * - `continue`: the record is left out, and counted as dropped.
 * - `dead-letter`: its bytes go to the dead-letter topic, in the commit that moves past it.
 * - `fail`: the worker stops, with nothing of the record committed.
 */
export type ErrorAction = "continue" | "dead-letter" | "fail";

/**
 * - `decode`: a source's serde threw.
 * - `processing`: a processor or a sink's serde threw. What it had put into stores or forwarded before stays.
 * - `production`: a record of ours is larger than its topic takes. Only that record is left out; the processing goes on.
 */
export type ErrorKind = "decode" | "processing" | "production";

export interface RecordFailure {
  readonly kind: ErrorKind;
  readonly error: unknown;
  /** Name of the source or sink. */
  readonly stage: string;
  /** The source record in hand; of a record made by a timer or flush(), the last one. */
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

export type ErrorHandler = ErrorAction | ((failure: RecordFailure) => ErrorAction);

/** Default of each: `dead-letter` with a dead-letter topic, else `fail`. */
export interface ErrorHandlers {
  readonly onDecodeError?: ErrorHandler;
  readonly onProcessingError?: ErrorHandler;
  readonly onProductionError?: ErrorHandler;
}

const SETTING = { decode: "onDecodeError", processing: "onProcessingError", production: "onProductionError" } as const;

export function decide(handlers: ErrorHandlers, failure: RecordFailure, fallback: ErrorAction): ErrorAction {
  const handler = handlers[SETTING[failure.kind]] ?? fallback;
  return typeof handler === "function" ? handler(failure) : handler;
}
