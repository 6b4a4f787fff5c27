/** Pages of rows: scanned here under a bound, merged over workers. Order is that of the keys' UTF-8 bytes, as stores have it. */
import type { RowsHere } from "../runtime/queries.ts";
import { MAX_PAGE } from "./parameters.ts";

/** Rows read for one page at most: some 50 ms of decoding. A filter that matches little gives short pages, not slow ones. */
const MAX_SCANNED_ROWS = 10_000;

export interface Page<T> {
  readonly items: readonly T[];
  /** Everything up to and including this cursor was looked at; null: there is no more. */
  readonly next: string | null;
}

export interface ScanRequest<T> {
  readonly prefix: string;
  /** Full store key to go on after. */
  readonly after: string | undefined;
  readonly limit: number;
  /** Whether `toItem` may leave rows out: then more rows than `limit` are read at a time. */
  readonly filtered: boolean;
  /** Undefined leaves the row out. */
  readonly toItem: (row: { key: string; value: unknown }) => T | undefined;
  /** Part of the store key that is the cursor. */
  readonly cursorOf: (key: string) => string;
}

export async function scanPage<T>(rowsHere: Pick<RowsHere, "scan">, request: ScanRequest<T>): Promise<Page<T>> {
  const chunk = request.filtered ? MAX_PAGE : request.limit;
  const items: T[] = [];
  let after = request.after;
  for (let scanned = 0; scanned < MAX_SCANNED_ROWS; scanned += chunk) {
    const rows = await rowsHere.scan({ prefix: request.prefix, limit: chunk, ...(after === undefined ? {} : { after }) });
    for (const row of rows) {
      after = row.key;
      const item = request.toItem(row);
      if (item !== undefined) items.push(item);
      if (items.length === request.limit) return { items, next: request.cursorOf(row.key) };
    }
    if (rows.length < chunk) return { items, next: null };
  }
  return { items, next: after === undefined ? null : request.cursorOf(after) };
}

/**
 * One page out of one page of each worker. Beyond the least `next` a worker may still have rows that it did not
 * show, so the merged page ends there. A key on two workers (a task that moved in between) is kept once, as `newer` says.
 */
export function mergePages<T>(pages: readonly Page<T>[], limit: number, keyOf: (item: T) => string, newer: (a: T, b: T) => T): Page<T> {
  let horizon: string | null = null;
  for (const { next } of pages) if (next !== null && (horizon === null || compareBytes(next, horizon) < 0)) horizon = next;
  const byKey = new Map<string, T>();
  for (const page of pages) {
    for (const item of page.items) {
      const key = keyOf(item);
      if (horizon !== null && compareBytes(key, horizon) > 0) break;
      const known = byKey.get(key);
      byKey.set(key, known === undefined ? item : newer(known, item));
    }
  }
  const items = [...byKey.values()].sort((a, b) => compareBytes(keyOf(a), keyOf(b)));
  if (items.length <= limit) return { items, next: horizon };
  const cut = items.slice(0, limit);
  return { items: cut, next: keyOf(cut[limit - 1]) };
}

/** JavaScript compares UTF-16 units, which differs from UTF-8's order outside the basic plane. */
export function compareBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
