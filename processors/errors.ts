/** The job's errors. What is wrong with a record is no error but a dead letter: see reject.ts and DLQ_REASONS. */

/** Thrown by the source key's serde; `reason` is what the runtime writes into `dlq.reason`. */
export class BadKeyError extends Error {
  override readonly name = "BadKeyError";
  readonly code = "bad-key";
  readonly reason = "bad-topic";
}

/**
 * - `registry-unavailable`: no answer, or not the one expected; the same call may be made again.
 * - `schema-incompatible`: the registry refused our schema; a person must decide.
 */
export type RegistryErrorCode = "registry-unavailable" | "schema-incompatible";

export class RegistryError extends Error {
  override readonly name = "RegistryError";
  readonly code: RegistryErrorCode;

  constructor(code: RegistryErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }

  get retriable(): boolean {
    return this.code === "registry-unavailable";
  }
}
