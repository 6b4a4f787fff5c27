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

export interface RangeBounds {
  readonly prefix: string;
  /** Inclusive. */
  readonly from?: string | undefined;
  /** Exclusive. */
  readonly to?: string | undefined;
  readonly after?: string | undefined;
}

/** Keys that lie within all the bounds that are given. */
export function boundedRange({ prefix, from = "", to, after }: RangeBounds): KeyRange {
  const least = from > prefix ? from : prefix;
  const end = successor(prefix);
  return {
    from: least,
    after: after !== undefined && after >= least ? after : undefined,
    to: end === undefined || (to !== undefined && to < end) ? to : end,
  };
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
