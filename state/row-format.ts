/** The first byte of every stored value says how the rest is laid out, in the engine and in the changelog alike. */
import { StateError } from "./errors.ts";
import type { Serde } from "./serde.ts";

/** 1: the rest is what the store's value serde wrote. */
export const ROW_FORMAT_VERSION = 1;

/** Decodes a stored value, format byte included. `store` is for the message. */
export function decodeValue<T>(serde: Serde<T>, store: string, bytes: Buffer, start: number, end: number): T {
  if (start >= end) throw new StateError("corrupt-row", `store "${store}": a row without a format byte`);
  const version = bytes[start];
  if (version !== ROW_FORMAT_VERSION) {
    throw new StateError(
      "incompatible-schema",
      `store "${store}": a row of format ${version}, and this version reads ${ROW_FORMAT_VERSION}`,
    );
  }
  try {
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
  const reason = error instanceof Error ? error.message : String(error);
  return new StateError("corrupt-row", `store "${store}": a ${part} that cannot be decoded: ${reason}`, error);
}
