/** Both bindings speak abstract-level: errors tell themselves apart by `code`, and a failed open carries its reason as the cause. */
import { StateError } from "../errors.ts";

const NOT_OPEN = ["LEVEL_DATABASE_NOT_OPEN", "LEVEL_ITERATOR_NOT_OPEN"];

/** `directory` is for the message. A StateError stays as it is. */
export function toStateError(error: unknown, directory: string): StateError {
  if (error instanceof StateError) return error;
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  const code = codeOf(cause) ?? codeOf(error);
  const reason = cause instanceof Error ? cause.message : String(cause);
  if (code === "LEVEL_LOCKED") return new StateError("locked", `the state in ${directory} is in use by another process`, error);
  if (code === "LEVEL_CORRUPTION") return new StateError("corrupt-state", `the state in ${directory} is corrupt: ${reason}`, error);
  if (cause === error && NOT_OPEN.includes(String(code))) return new StateError("closed", `the state in ${directory} is not open`, error);
  return new StateError("engine", `the state in ${directory} failed: ${reason}`, error);
}

/** A file that is gone is an I/O error or a corruption, depending on which one it is. */
export function toOpenError(error: unknown, directory: string): StateError {
  const mapped = toStateError(error, directory);
  const isFileGone = mapped.code === "engine" && /No such file or directory/.test(mapped.message);
  return isFileGone ? new StateError("corrupt-state", mapped.message, error) : mapped;
}

function codeOf(error: unknown): unknown {
  return typeof error === "object" && error !== null && "code" in error ? error.code : undefined;
}
