/**
 * Rows of several tasks in one order, a page of them. Each task's rows are in order already, so no task is read further than the page may
 * need: its share of the page and some more at first, as keys are spread by their hash, and what is still missing after that.
 */
import { rowCursor, type ScanOptions, type StoreReader, type StoreRow } from "./queries.ts";

interface Placed {
  readonly row: StoreRow;
  readonly cursor: Buffer;
}

interface Source {
  readonly reader: StoreReader;
  /** The last row that was read of it. */
  last: Placed | undefined;
  /** There are no more. */
  ended: boolean;
}

/** Of a share, in standard deviations: more is read than most pages need, less has many pages read twice. */
const SHARE_SLACK = 2;

export async function mergedScan(readers: readonly StoreReader[], store: string, options: ScanOptions): Promise<readonly StoreRow[]> {
  const { limit } = options;
  const sources = readers.map((reader): Source => ({ reader, last: undefined, ended: false }));
  const rows: Placed[] = [];
  for (;;) {
    const page = rows.at(limit - 1);
    const open = sources.filter(({ ended, last }) => !ended && (last === undefined || page === undefined || isBefore(last, page)));
    if (open.length === 0) return rows.slice(0, limit).map(({ row }) => row);
    const count = shareOf(limit - settledRows(rows, open), open.length);
    for (const source of open) {
      const { last } = source;
      const read = await source.reader.scan(store, { ...options, limit: count, ...(last && { after: rowCursor(last.row) }) });
      for (const row of read) rows.push((source.last = { row, cursor: Buffer.from(rowCursor(row)) }));
      source.ended = read.length < count;
    }
    rows.sort((a, b) => Buffer.compare(a.cursor, b.cursor));
  }
}

/** How many of the first rows no source that may have more can come before. */
function settledRows(rows: readonly Placed[], open: readonly Source[]): number {
  let horizon: Placed | undefined;
  for (const { last } of open) {
    if (last === undefined) return 0;
    if (horizon === undefined || isBefore(last, horizon)) horizon = last;
  }
  return horizon === undefined ? rows.length : rows.indexOf(horizon) + 1;
}

function shareOf(rows: number, sources: number): number {
  const share = rows / sources;
  return Math.min(rows, Math.ceil(share + SHARE_SLACK * Math.sqrt(share)));
}

function isBefore(a: Placed, b: Placed): boolean {
  return Buffer.compare(a.cursor, b.cursor) < 0;
}
