/** What key-value and window stores share: entries, dirty tracking, loading on a miss, scanning. */
import { ByteReader } from "./byte-reader.ts";
import { ByteWriter } from "./byte-writer.ts";
import type { CommittedRows } from "./committed-rows.ts";
import { StateError } from "./errors.ts";
import { Entry } from "./object-cache.ts";
import type { EntryOwner, ObjectCache } from "./object-cache.ts";
import type { RowReceiver } from "./read-ahead.ts";
import { decodeKey, decodeValue } from "./row-format.ts";
import type { StoreSpec } from "./store.ts";

/** The guess for a row that was never encoded, until the store has an average of its own. Bytes. */
const FIRST_ROW_BYTES = 96;

/** A new row counts one in 2 ** AVERAGE_SHIFT in the running average of row sizes. */
const AVERAGE_SHIFT = 4;

/** What a store needs of its task. */
export interface StoreHome {
  readonly rows: CommittedRows;
  readonly cache: ObjectCache;
  /** Estimate, over all stores. */
  dirtyBytes: number;
  readonly isOpen: boolean;
  assertOpen(): void;
  /** Rows of this store in frozen sets that are not committed. */
  frozenEntries(storeIndex: number): Iterable<Entry>;
}

export abstract class CachedStore<K> implements EntryOwner, RowReceiver {
  readonly index: number;
  readonly changelogged: boolean;
  readonly spec: StoreSpec<unknown>;
  readonly name: string;
  readonly home: StoreHome;
  cachedRows = 0;
  cachedBytes = 0;
  hits = 0;
  misses = 0;
  evictions = 0;
  /** Changed since the last freeze, in the order of their first change. */
  dirty: Entry[] = [];
  readonly keyBuffer = new ByteWriter();
  protected readonly reader = new ByteReader();
  /**
   * The running average, shifted: whole numbers, as a fraction would come into every entry, and V8 would then change the shape of all
   * entries while they are in use.
   */
  #averageRowBytes = FIRST_ROW_BYTES << AVERAGE_SHIFT;
  #stringKeys: boolean | undefined;

  constructor(index: number, spec: StoreSpec<unknown>, home: StoreHome) {
    this.index = index;
    this.changelogged = spec.changelog;
    this.spec = spec;
    this.name = spec.name;
    this.home = home;
  }

  abstract evicted(entry: Entry): void;
  abstract arrived(key: string, windowStart: number, name: string, value: Buffer | undefined): void;
  abstract forgetAll(): void;
  /** The commit that held this row is done. */
  abstract settled(entry: Entry): void;
  /** The cached entry of encoded key bytes. */
  abstract cached(bytes: Buffer, start: number, end: number): Entry | undefined;
  /** The bytes of a whole row key as queries give it. */
  abstract writeQueryKey(key: unknown, out: ByteWriter): void;
  abstract readQueryKey(bytes: Buffer, start: number, end: number): unknown;

  /** Key bytes of a row, without the store id. */
  writeKey(entry: Entry, out: ByteWriter): void {
    this.#writeRowKey(entry.key, entry.windowStart, out);
  }

  #writeRowKey(key: string, windowStart: number, out: ByteWriter): void {
    if (this.#stringKeys === true) this.spec.key.write(key, out);
    else out.latin1(key);
    if (windowStart >= 0) out.u64(windowStart);
  }

  decodeValue(bytes: Buffer, start: number, end: number): unknown {
    return decodeValue(this.spec.value, this.name, bytes, start, end);
  }

  decodeKey(bytes: Buffer, start: number, end: number): K {
    return decodeKey(this.spec.key, this.name, bytes, start, end) as K;
  }

  /** Takes the measured size of a row into the average by which new rows are weighed. */
  measured(rowBytes: number): void {
    this.#averageRowBytes += rowBytes - (this.#averageRowBytes >> AVERAGE_SHIFT);
  }

  /** Map key: a string as it is, any other key as the latin1 string of its bytes. All keys of a store are one or the other. */
  protected keyOf(key: K): string {
    if (typeof key === "string") {
      if (this.#stringKeys !== true) this.#setStringKeys(true);
      return key;
    }
    if (this.#stringKeys !== false) this.#setStringKeys(false);
    const out = this.keyBuffer;
    out.reset();
    this.spec.key.write(key, out);
    return out.buffer.toString("latin1", 0, out.position);
  }

  /** A miss: a new entry with what is committed. */
  protected load(key: string, windowStart: number): Entry {
    const { home } = this;
    home.assertOpen();
    this.misses++;
    const entry = new Entry(this, key, windowStart);
    const out = this.keyBuffer;
    const storeId = home.rows.storeIds[this.index];
    out.reset();
    out.bytes(storeId, 0, storeId.length);
    this.writeKey(entry, out);
    entry.encodedBytes = out.position;
    if (home.rows.find(this.index, out)) {
      const { foundBytes, foundStart, foundEnd } = home.rows;
      this.#fill(entry, foundBytes, foundStart, foundEnd);
    }
    return entry;
  }

  /** Asks for a row that is not in the cache: it may come by arrived(). */
  protected want(key: string, windowStart: number): void {
    const { rows } = this.home;
    const out = this.keyBuffer;
    const storeId = rows.storeIds[this.index];
    out.reset();
    out.bytes(storeId);
    this.#writeRowKey(key, windowStart, out);
    rows.readAhead.want(this, key, windowStart, storeId.length, out.toBuffer());
  }

  /** An entry as load() would make it, from what was read ahead; undefined when memory or another engine read decides. */
  protected ahead(key: string, windowStart: number, name: string, value: Buffer | undefined): Entry | undefined {
    const { home } = this;
    if (!home.isOpen || home.rows.findInMemory(this.index, name) !== undefined) return undefined;
    home.rows.engineReads++;
    this.misses++;
    const entry = new Entry(this, key, windowStart);
    entry.encodedBytes = name.length;
    if (value !== undefined) this.#fill(entry, value, 0, value.length);
    return entry;
  }

  #fill(entry: Entry, bytes: Buffer, start: number, end: number): void {
    entry.value = this.decodeValue(bytes, start, end);
    entry.present = true;
    entry.encodedBytes += end - start;
  }

  /** An entry for a row that is about to be written, without looking what is there. */
  protected blank(key: string, windowStart: number): Entry {
    this.home.assertOpen();
    const entry = new Entry(this, key, windowStart);
    entry.encodedBytes = this.#averageRowBytes >> AVERAGE_SHIFT;
    return entry;
  }

  protected write(entry: Entry, value: unknown): void {
    entry.value = value;
    entry.present = true;
    entry.referenced = true;
    if (!entry.dirty) this.markDirty(entry);
  }

  protected markDirty(entry: Entry): void {
    entry.dirty = true;
    this.dirty.push(entry);
    this.home.dirtyBytes += entry.encodedBytes;
  }

  #setStringKeys(stringKeys: boolean): void {
    if (this.#stringKeys !== undefined) throw new TypeError(`store "${this.name}" got keys that are strings and keys that are not`);
    this.#stringKeys = stringKeys;
  }
}

/** For callers with names: a wrong one is a mistake in the program. */
export function unknownStore(name: string): StateError {
  return new StateError("incompatible-schema", `there is no store "${name}" in this task`);
}
