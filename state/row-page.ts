/** One page of a store in key order: the engine's rows merged with the newer ones in memory. */
import type { CommittedRows } from "./committed-rows.ts";
import { engineRange, inRange } from "./key-range.ts";
import type { KeyRange } from "./key-range.ts";

/**
 * Rows a page, at most. Between pages the event loop gets a turn, and a page is read in a few milliseconds: it is read
 * again when a checkpoint ends meanwhile, which must not be able to happen each time.
 */
export const PAGE_ROWS = 1000;

/** What lies over the engine's rows. All of it is asked synchronously, so a page is one moment's truth. */
export interface RowView {
  /** Keys of rows in memory; a key may come twice. */
  keys(): Iterable<string>;
  /** Whether the row exists; undefined when memory does not know and the engine decides. */
  exists(key: string): boolean | undefined;
}

export interface PageRow {
  readonly key: string;
  /** The engine's value when the page was read; a newer one may be in memory. */
  readonly engineValue: Buffer | undefined;
}

export interface Page {
  readonly rows: readonly PageRow[];
  /** What is left, undefined at the end. */
  readonly rest: KeyRange | undefined;
  /** `CommittedRows.generation` when the engine was read. */
  readonly generation: number;
}

/** At least one and at most `limit` rows, fewer than `limit` only with a `rest` or at the end; it may be empty with a rest. */
export async function readPage(committed: CommittedRows, storeIndex: number, view: RowView, range: KeyRange, limit: number): Promise<Page> {
  const storeId = committed.storeIds[storeIndex];
  for (;;) {
    const { generation } = committed;
    const engineRows = await committed.engine.read(engineRange(storeId, range, limit));
    // Rows may have moved from memory into the engine behind the scan. Checkpoints are seconds apart: read again.
    if (generation !== committed.generation) continue;
    // From here on nothing awaits.
    const stored = engineRows.map(([key, engineValue]) => ({ key: key.toString("latin1", storeId.length), engineValue }));
    const last = stored.length < limit ? undefined : stored[stored.length - 1]?.key;
    const covered: KeyRange = last === undefined ? range : { ...range, to: last + "\0" };
    const fresh = smallestLive(view, covered, limit);
    const rows = merge(stored, fresh, view, limit);
    if (rows.length === limit) return { rows, rest: { ...range, after: rows[limit - 1]?.key }, generation };
    return { rows, rest: last === undefined ? undefined : { ...range, after: last }, generation };
  }
}

/** The first `limit` keys of existing rows in memory that lie in the range, in order. */
function smallestLive(view: RowView, range: KeyRange, limit: number): string[] {
  let bound = range;
  let picked = new Set<string>();
  for (const key of view.keys()) {
    if (!inRange(key, bound) || picked.has(key) || view.exists(key) !== true) continue;
    picked.add(key);
    // Cut now and then, so that a page of a large table costs a comparison a row and not a sort of all.
    if (picked.size >= 4 * limit + 64) {
      const kept = [...picked].sort(compare).slice(0, limit);
      picked = new Set(kept);
      bound = { ...range, to: kept[kept.length - 1] + "\0" };
    }
  }
  return [...picked].sort(compare).slice(0, limit);
}

function merge(stored: readonly PageRow[], fresh: readonly string[], view: RowView, limit: number): PageRow[] {
  const rows: PageRow[] = [];
  let s = 0;
  let f = 0;
  while (rows.length < limit && (s < stored.length || f < fresh.length)) {
    const row = stored[s];
    const key = fresh[f];
    if (row === undefined || (key !== undefined && key < row.key)) {
      rows.push({ key: key, engineValue: undefined });
      f++;
    } else {
      if (row.key === key) f++;
      if (view.exists(row.key) !== false) rows.push(row);
      s++;
    }
  }
  return rows;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
