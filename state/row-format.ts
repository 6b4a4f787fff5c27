/** The first byte of every stored value says how the rest is laid out, in the engine and in the changelog alike. */
import { StateError } from "./errors.ts";
import type { Serde } from "./serde.ts";

/** 1: the rest is what the store's value serde wrote. */
export const ROW_FORMAT_VERSION = 1;

/**
 * For serdes whose bytes begin with a version of their own. Throws `incompatible-schema` when a newer program wrote the row:
 * nothing is wiped then, since the changelog holds the same rows. Versions go up by one; 0 was never written.
 */
export function checkRowVersion(version: number, newest: number, what: string): void {
  if (version > newest) {
    throw new StateError(
      "incompatible-schema",
      `${what} of version ${version}, and this program reads up to ${newest}: a newer one wrote it. Run that one, or start from other state`,
    );
  }
  if (version === 0) throw new StateError("corrupt-row", `${what} of version 0`);
}

/** Decodes a stored value, format byte included. `store` is for the message. */
export function decodeValue<T>(serde: Serde<T>, store: string, bytes: Buffer, start: number, end: number): T {
  if (start >= end) throw new StateError("corrupt-row", `store "${store}": a row without a format byte`);
  try {
    checkRowVersion(bytes[start], ROW_FORMAT_VERSION, "row format");
    return serde.read(bytes, start + 1, end);
  } catch (error) {
    throw corruptRow(store, "value", error);
  }
}

/** Decodes the key bytes of a row. */
export function decodeKey<T>(serde: Serde<T>, store: string, bytes: Buffer, start: number, end: number): T {
  try {
    return serde.read(bytes, start, end);
  } catch (error) {
    throw corruptRow(store, "key", error);
  }
}

function corruptRow(store: string, part: string, error: unknown): StateError {
  if (error instanceof StateError && error.code === "incompatible-schema")
    return new StateError(error.code, `store "${store}": ${error.message}`, error);
  const reason = error instanceof Error ? error.message : String(error);
  return new StateError("corrupt-row", `store "${store}": a ${part} that cannot be decoded: ${reason}`, error);
}
