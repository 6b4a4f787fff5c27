/** Iterating over a whole store, uncommitted rows included. */
import { setImmediate as nextTurn } from "node:timers/promises";
import { ByteWriter } from "./byte-writer.ts";
import type { CachedStore } from "./cached-store.ts";
import { engineRange, WHOLE_STORE } from "./key-range.ts";
import type { KeyRange } from "./key-range.ts";
import { PAGE_ROWS, readPage } from "./row-page.ts";
import type { PageRow, RowView } from "./row-page.ts";

/**
 * Each row as it is when it is handed out: the cached object when there is one, else a fresh one. A row that exists
 * during the whole scan comes exactly once; one that comes or goes meanwhile may or may not be seen. `toRow` makes what
 * the store hands out; its key is as in readQueryKey.
 */
export async function* scanStore<R>(store: CachedStore<unknown>, toRow: (key: unknown, value: unknown) => R): AsyncIterable<R> {
  const { rows: committed } = store.home;
  const view = newestRows(store);
  let range: KeyRange | undefined = WHOLE_STORE;
  while (range !== undefined) {
    store.home.assertOpen();
    const page = await readPage(committed, store.index, view, range, PAGE_ROWS);
    for (const row of page.rows) {
      store.home.assertOpen();
      const keyBytes = Buffer.from(row.key, "latin1");
      const entry = store.cached(keyBytes, 0, keyBytes.length);
      const key = store.readQueryKey(keyBytes, 0, keyBytes.length);
      if (entry !== undefined) {
        if (entry.present) yield toRow(key, entry.value);
        continue;
      }
      const found = committedValue(store, row, page.generation);
      if (found !== undefined) yield toRow(key, found.value);
    }
    range = page.rest;
    if (range !== undefined) await nextTurn();
  }
}

/**
 * The committed rows, each as it is when visited: the cached object when there is one, else a fresh one. First those that are in
 * memory at the call, then those of the engine: unlike scanStore() it does not put them in order, which costs a look at all rows in
 * memory a page.
 */
export async function visitStored(store: CachedStore<unknown>, visit: (key: unknown, value: unknown) => void): Promise<void> {
  const { rows: committed } = store.home;
  const storeId = committed.storeIds[store.index];
  const visited = new Set(committed.keysInMemory(store.index));
  let rows = 0;
  for (const key of visited) {
    store.home.assertOpen();
    visitOne(store, { key, engineValue: undefined }, visit);
    if (++rows % PAGE_ROWS === 0) await nextTurn();
  }
  let range: KeyRange = WHOLE_STORE;
  for (;;) {
    store.home.assertOpen();
    const { generation } = committed;
    const page = await committed.engine.read(engineRange(storeId, range, PAGE_ROWS));
    store.home.assertOpen();
    // A newer row may have moved from memory into the engine behind the read. Checkpoints are seconds apart: read again.
    if (generation !== committed.generation) continue;
    for (const [engineKey, engineValue] of page) {
      const key = engineKey.toString("latin1", storeId.length);
      if (!visited.has(key)) visitOne(store, { key, engineValue }, visit);
    }
    if (page.length < PAGE_ROWS) return;
    range = { ...range, after: page[page.length - 1][0].toString("latin1", storeId.length) };
    await nextTurn();
  }
}

function visitOne(store: CachedStore<unknown>, row: PageRow, visit: (key: unknown, value: unknown) => void): void {
  const keyBytes = Buffer.from(row.key, "latin1");
  const entry = store.cached(keyBytes, 0, keyBytes.length);
  const found = entry === undefined ? committedValue(store, row, store.home.rows.generation) : entry.present ? entry : undefined;
  if (found !== undefined) visit(store.readQueryKey(keyBytes, 0, keyBytes.length), found.value);
}

/** The committed value, decoded anew; undefined when the row is gone. */
export function committedValue(store: CachedStore<unknown>, row: PageRow, generation: number): { value: unknown } | undefined {
  const { rows: committed } = store.home;
  let exists = committed.findInMemory(store.index, row.key);
  if (exists === undefined) {
    if (row.engineValue !== undefined && generation === committed.generation) {
      return { value: store.decodeValue(row.engineValue, 0, row.engineValue.length) };
    }
    const engineKey = new ByteWriter(64);
    engineKey.bytes(committed.storeIds[store.index]);
    engineKey.latin1(row.key);
    exists = committed.find(store.index, engineKey);
  }
  if (!exists) return undefined;
  return { value: store.decodeValue(committed.foundBytes, committed.foundStart, committed.foundEnd) };
}

/** Committed rows in memory only: what queries may see over the engine. */
export function committedRows(store: CachedStore<unknown>): RowView {
  const { rows: committed } = store.home;
  return {
    keys: () => committed.keysInMemory(store.index),
    exists: (key) => committed.findInMemory(store.index, key),
  };
}

function newestRows(store: CachedStore<unknown>): RowView {
  const committed = committedRows(store);
  return {
    *keys() {
      for (const entry of store.dirty) yield encodedKey(store, entry);
      for (const entry of store.home.frozenEntries(store.index)) yield encodedKey(store, entry);
      yield* committed.keys();
    },
    exists: (key) => {
      const keyBytes = Buffer.from(key, "latin1");
      const entry = store.cached(keyBytes, 0, keyBytes.length);
      return entry === undefined ? committed.exists(key) : entry.present;
    },
  };
}

function encodedKey(store: CachedStore<unknown>, entry: CachedStore<unknown>["dirty"][number]): string {
  const out = store.keyBuffer;
  out.reset();
  store.writeKey(entry, out);
  return out.buffer.toString("latin1", 0, out.position);
}
