/** The rows of the model in their order, and committed reads of ranges as that order defines them. For task-state.model.ts. */
import assert from "node:assert/strict";
import fc from "fast-check";
import type { TaskState } from "../../state/task-state.ts";
import type { WindowKey } from "../../state/window-store.ts";

/** Few keys, so that commands meet; one is the beginning of another. */
export const KEYS = ["a", "ab", "abc", "b", "tenant|device-1", "tenant|device-10", "ü", "\u{1f4a1}"] as const;
/** The last one does not fit 32 bits, and its low 32 bits are below those of the others. */
export const STARTS = [0, 10_000, 20_000, 2 ** 32 + 1] as const;

export interface RowName {
  readonly key: string;
  /** undefined: the key-value store. */
  readonly start: number | undefined;
}

export interface ModelRow extends RowName {
  readonly value: { readonly count: number; readonly note: string };
}

/** By rowText(). */
export type Rows = Map<string, ModelRow>;

export const rowName: fc.Arbitrary<RowName> = fc.record({ key: fc.constantFrom(...KEYS), start: fc.constantFrom(undefined, ...STARTS) });

/** Between the keys, before and after all of them, and within one. */
const bound = fc.oneof(fc.constantFrom(...KEYS), fc.constantFrom("", "A", "aa", "ac", "tenant", "tenant|device-2", "é", "\u{10ffff}"));
const maybeBound = fc.option(bound, { nil: undefined });
/** Pages that end inside a range, at its end, and beyond it. */
const limit: fc.Arbitrary<number> = fc.constantFrom(1, 2, 3, 100);

export const rangeQuery = fc.record({
  windowed: fc.boolean(),
  prefix: fc.option(fc.constantFrom("", "a", "ab", "t", "tenant|device-1", "ü", "x"), { nil: undefined }),
  from: maybeBound,
  to: maybeBound,
  /** Need not be a row that exists, nor lie within the other bounds. */
  after: fc.option(fc.record({ key: bound, start: fc.constantFrom(...STARTS, 5_000) }), { nil: undefined }),
  limit,
});
export type RangeQuery = typeof rangeQuery extends fc.Arbitrary<infer T> ? T : never;

const time = fc.constantFrom(...STARTS, ...STARTS.map((start) => start + 1), 9_999, 2 ** 32, Number.MAX_SAFE_INTEGER);
export const fetchQuery = fc.record({ key: fc.constantFrom(...KEYS), from: time, to: time, limit });
export type FetchQuery = typeof fetchQuery extends fc.Arbitrary<infer T> ? T : never;

export const rowText = ({ key, start }: RowName): string => (start === undefined ? key : `${key}@${start}`);

const compareKeys = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));

const compareRows = (a: RowName, b: RowName): number => compareKeys(a.key, b.key) || (a.start ?? 0) - (b.start ?? 0);

/** Of one of the two stores: by key bytes, then window start. */
export function sortedRows(rows: Rows, windowed: boolean): ModelRow[] {
  return [...rows.values()].filter(({ start }) => (start !== undefined) === windowed).sort(compareRows);
}

/** Reads the range page by page, each after the last row of the one before. */
export async function assertRange(state: TaskState, committed: Rows, query: RangeQuery): Promise<void> {
  const { windowed, prefix, from, to, limit } = query;
  const after = query.after && { key: query.after.key, start: windowed ? query.after.start : undefined };
  const expected = sortedRows(committed, windowed)
    .filter(({ key }) => key.startsWith(prefix ?? ""))
    .filter(({ key }) => from === undefined || compareKeys(key, from) >= 0)
    .filter(({ key }) => to === undefined || compareKeys(key, to) < 0)
    .filter((row) => after === undefined || compareRows(row, after) > 0);
  const queryKey = ({ key, start }: RowName): unknown => (start === undefined ? key : ({ key, windowStart: start } satisfies WindowKey));
  let last = after && queryKey(after);
  for (let at = 0; at <= expected.length; at += limit) {
    const page = await state.scanCommitted(windowed ? "windows" : "counters", { prefix, from, to, after: last, limit });
    assert.deepEqual(
      page,
      expected.slice(at, at + limit).map((row) => [queryKey(row), row.value]),
    );
    last = page.at(-1)?.[0];
  }
}

export async function assertFetch(state: TaskState, committed: Rows, { key, from, to, limit }: FetchQuery): Promise<void> {
  const expected = sortedRows(committed, true)
    .filter((row) => row.key === key)
    .map(({ start = 0, value }) => [start, value] as const)
    .filter(([start]) => start >= from && start < to);
  assert.deepEqual(await state.fetchCommitted("windows", key, { from, to, limit }), expected.slice(0, limit));
}
