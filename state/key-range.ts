/** Ranges of key bytes within a store, as latin1 strings (they compare as the bytes do) and as engine keys. */
import type { EngineRange } from "./engines/engine.ts";

export interface KeyRange {
  /** Inclusive. */
  readonly from: string;
  /** Exclusive; wins over `from`. */
  readonly after: string | undefined;
  /** Exclusive. */
  readonly to: string | undefined;
}

export const WHOLE_STORE: KeyRange = { from: "", after: undefined, to: undefined };

export function inRange(key: string, range: KeyRange): boolean {
  if (range.after === undefined ? key < range.from : key <= range.after) return false;
  return range.to === undefined || key < range.to;
}

/** Keys that begin with `prefix` and come after `after`. */
export function prefixRange(prefix: string, after: string | undefined): KeyRange {
  return { from: prefix, after: after !== undefined && after >= prefix ? after : undefined, to: successor(prefix) };
}

/** `storeId`: the bytes that start the store's keys in the engine. */
export function engineRange(storeId: Buffer, range: KeyRange, limit: number): EngineRange {
  const id = storeId.toString("latin1");
  const bytes = (key: string): Buffer => Buffer.from(id + key, "latin1");
  const to = range.to === undefined ? successor(id) : id + range.to;
  return {
    ...(range.after === undefined ? { from: bytes(range.from) } : { after: bytes(range.after) }),
    ...(to === undefined ? {} : { to: Buffer.from(to, "latin1") }),
    limit,
  };
}

/** The least string above all that begin with `prefix`; undefined when there is none. */
function successor(prefix: string): string | undefined {
  let end = prefix.length;
  while (end > 0 && prefix.charCodeAt(end - 1) === 0xff) end--;
  return end === 0 ? undefined : prefix.slice(0, end - 1) + String.fromCharCode(prefix.charCodeAt(end - 1) + 1);
}
