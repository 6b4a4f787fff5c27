import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { partitionForKey } from "../../../eventlog/records/murmur2.ts";
import { mergedScan } from "../../../runtime/merged-scan.ts";
import { rowCursor, type StoreReader, type StoreRow } from "../../../runtime/queries.ts";

interface Counted extends StoreReader {
  /** Rows handed out. */
  read: number;
  scans: number;
}

const cursorOf = (row: StoreRow): Buffer => Buffer.from(rowCursor(row));

function ordered(rows: readonly StoreRow[]): StoreRow[] {
  return [...rows].sort((a, b) => Buffer.compare(cursorOf(a), cursorOf(b)));
}

function readerOf(rows: readonly StoreRow[]): Counted {
  const own = ordered(rows);
  const reader: Counted = {
    read: 0,
    scans: 0,
    get: () => assert.fail("not asked for a row"),
    windows: () => assert.fail("not asked for windows"),
    scan: async (_store, { limit, after }) => {
      const from = after === undefined ? 0 : own.findIndex((row) => Buffer.compare(cursorOf(row), Buffer.from(after)) > 0);
      const page = from < 0 ? [] : own.slice(from, from + limit);
      reader.read += page.length;
      reader.scans++;
      return page;
    },
  };
  return reader;
}

function devices(count: number): StoreRow[] {
  return Array.from({ length: count }, (_, n) => ({ key: `demo|device-${n}`, value: n }));
}

/** As tasks have them. */
function byPartition(rows: readonly StoreRow[], partitions: number): Counted[] {
  return Array.from({ length: partitions }, (_, partition) =>
    readerOf(rows.filter(({ key }) => partitionForKey(Buffer.from(key), 0, Buffer.byteLength(key), partitions) === partition)),
  );
}

const readOf = (readers: readonly Counted[]): number => readers.reduce((sum, { read }) => sum + read, 0);

test("whatever is where, a page holds the first rows of all, in order, and pages that follow on each other hold each row once", async () => {
  const key = fc.string({ unit: fc.constantFrom("a", "b", "|", "é", "\uffee", "\u{1f600}"), minLength: 1, maxLength: 4 });
  const windowStart = fc.option(fc.integer({ min: 0, max: 3 }), { nil: undefined });
  const row = fc.record({ key, windowStart, value: fc.nat() }, { requiredKeys: ["key", "value"] });
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(row, { selector: (one) => rowCursor(one), maxLength: 60 }),
      // most of them in one task: its share of a page is not enough
      fc.array(fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(4) }), { minLength: 60, maxLength: 60 }),
      fc.integer({ min: 1, max: 12 }),
      async (rows, places, limit) => {
        const readers = [0, 1, 2, 3, 4].map((place) => readerOf(rows.filter((_, n) => places[n] === place)));
        const seen: StoreRow[] = [];
        for (let after: string | undefined; ;) {
          const page = await mergedScan(readers, "s", { limit, ...(after === undefined ? {} : { after }) });
          seen.push(...page);
          if (page.length < limit) break;
          after = rowCursor(page[page.length - 1]);
        }
        assert.deepEqual(seen, ordered(rows));
      },
    ),
  );
});

test("a page of 100 of 10,000 rows in 4 tasks reads 200 at most, and seldom asks a task twice", async () => {
  const rows = devices(10_000);
  const readers = byPartition(rows, 4);
  const seen: StoreRow[] = [];
  let after: string | undefined;
  for (let n = 0; n < 100; n++) {
    const before = readOf(readers);
    const page = await mergedScan(readers, "s", { limit: 100, ...(after === undefined ? {} : { after }) });
    assert.equal(page.length, 100);
    assert.ok(readOf(readers) - before <= 200, `${readOf(readers) - before} rows for page ${n}`);
    seen.push(...page);
    after = rowCursor(page[page.length - 1]);
  }
  assert.deepEqual(seen, ordered(rows));
  const scans = readers.reduce((sum, reader) => sum + reader.scans, 0);
  assert.ok(scans < 4 * 100 * 1.1, `${scans} scans for 100 pages`);
});

test("rows that are all in one task cost that task's page and a share of the others", async () => {
  const readers = [readerOf(devices(1_000)), readerOf([]), readerOf([]), readerOf([{ key: "demo|device-0a", value: 0 }])];
  const page = await mergedScan(readers, "s", { limit: 100 });
  assert.deepEqual(page, ordered([...devices(1_000), { key: "demo|device-0a", value: 0 }]).slice(0, 100));
  assert.ok(readOf(readers) <= 200, `${readOf(readers)} rows`);
  assert.ok(readers[0].scans <= 3);
});

test("of one task nothing more than the page is read, in one go", async () => {
  const reader = readerOf(devices(1_000));
  await mergedScan([reader], "s", { limit: 100 });
  assert.deepEqual([reader.read, reader.scans], [100, 1]);
  assert.deepEqual(await mergedScan([], "s", { limit: 100 }), []);
});
