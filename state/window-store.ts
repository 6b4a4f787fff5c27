/** The cached store behind WindowStore: per key a short list of windows, so that no composite key is built per record. */
import type { ByteWriter } from "./byte-writer.ts";
import { CachedStore } from "./cached-store.ts";
import { StateError } from "./errors.ts";
import type { Entry } from "./object-cache.ts";
import { scanStore, visitStored } from "./scan-store.ts";
import type { RowHandle, WindowStore } from "./store.ts";

/** The key of a window store's row in queries. */
export interface WindowKey {
  readonly key: unknown;
  /** Epoch ms. */
  readonly windowStart: number;
}

/** The window start ends the row key: 8 bytes, big-endian, so that byte order is time order. */
const WINDOW_START_BYTES = 8;

/**
 * Rows are ordered by their bytes: key bytes, then window start. Where one key's bytes begin another's, that is the
 * order of the keys too as long as keys hold text (no byte below 0x02), because a start's first bytes are 0x00 0x00.
 */
export class CachedWindowStore<K, V> extends CachedStore<K> implements WindowStore<K, V> {
  /** The newest window is usually the last of its list. */
  readonly #entries = new Map<string, Entry[]>();
  /** Of the last look-up: the put that follows a fetch needs no second one. */
  #lastKey: string | undefined;
  #lastList: Entry[] = [];

  fetch(key: K, windowStart: number): V | undefined {
    return this.at(key, windowStart, undefined).value;
  }

  at(key: K, windowStart: number, known: RowHandle<V> | undefined): RowHandle<V> {
    let entry = known as Entry | undefined;
    if (entry === undefined || entry.slot < 0) {
      const mapKey = this.keyOf(key);
      entry = this.#find(mapKey, windowStart);
      if (entry === undefined) {
        checkStart(windowStart);
        return this.#add(this.load(mapKey, windowStart)) as RowHandle<V>;
      }
    }
    this.hits++;
    entry.referenced = true;
    return entry as RowHandle<V>;
  }

  prefetch(key: K, windowStart: number): void {
    const mapKey = this.keyOf(key);
    if (this.#find(mapKey, windowStart) === undefined) this.want(mapKey, windowStart);
  }

  put(key: K, windowStart: number, value: V): void {
    this.#put(this.keyOf(key), windowStart, value);
  }

  set(row: RowHandle<V>, value: V): void {
    const entry = row as Entry;
    if (entry.slot >= 0) this.write(entry, value);
    else this.#put(entry.key, entry.windowStart, value);
  }

  delete(key: K, windowStart: number): void {
    const mapKey = this.keyOf(key);
    let entry = this.#find(mapKey, windowStart);
    if (entry === undefined) entry = this.#addBlank(mapKey, windowStart);
    else if (!entry.present) return;
    entry.value = undefined;
    entry.present = false;
    if (!entry.dirty) this.markDirty(entry);
  }

  scan(): AsyncIterable<{ readonly key: K; readonly windowStart: number; readonly value: V }> {
    return scanStore(this, (row, value) => {
      const { key, windowStart } = row as WindowKey;
      return { key: key as K, windowStart, value: value as V };
    });
  }

  scanStored(visit: (key: K, windowStart: number, value: V) => void): Promise<void> {
    return visitStored(this, (row, value) => {
      const { key, windowStart } = row as WindowKey;
      visit(key as K, windowStart, value as V);
    });
  }

  override arrived(key: string, windowStart: number, name: string, value: Buffer | undefined): void {
    if (this.#find(key, windowStart) !== undefined) return;
    const entry = this.ahead(key, windowStart, name, value);
    if (entry !== undefined) this.#add(entry);
  }

  override cached(bytes: Buffer, start: number, end: number): Entry | undefined {
    if (this.#entries.size === 0) return undefined;
    const { key, windowStart } = this.readQueryKey(bytes, start, end);
    return this.#find(this.keyOf(key as K), windowStart);
  }

  override writeQueryKey(key: unknown, out: ByteWriter): void {
    const row = key as WindowKey;
    this.spec.key.write(row.key, out);
    out.u64(row.windowStart);
  }

  override readQueryKey(bytes: Buffer, start: number, end: number): WindowKey {
    const keyEnd = end - WINDOW_START_BYTES;
    if (keyEnd < start) throw new StateError("corrupt-row", `store "${this.name}": a row key of ${end - start} bytes has no window start`);
    this.reader.reset(bytes, keyEnd, end);
    return { key: this.decodeKey(bytes, start, keyEnd), windowStart: this.reader.u64() };
  }

  override evicted(entry: Entry): void {
    const list = this.#entries.get(entry.key) as Entry[];
    this.#lastKey = undefined;
    if (list.length === 1) this.#entries.delete(entry.key);
    else list.splice(list.indexOf(entry), 1);
  }

  override forgetAll(): void {
    this.#entries.clear();
    this.#lastKey = undefined;
  }

  /** A closed window does not come back: without this the list of a key would grow with every window there ever was. */
  override settled(entry: Entry): void {
    if (entry.present || entry.dirty || entry.frozen > 0) return;
    this.home.cache.remove(entry);
    this.evicted(entry);
  }

  #put(mapKey: string, windowStart: number, value: V): void {
    this.write(this.#find(mapKey, windowStart) ?? this.#addBlank(mapKey, windowStart), value);
  }

  #find(mapKey: string, windowStart: number): Entry | undefined {
    let list: Entry[] | undefined = this.#lastList;
    if (this.#lastKey !== mapKey) {
      list = this.#entries.get(mapKey);
      if (list === undefined) return undefined;
      this.#lastKey = mapKey;
      this.#lastList = list;
    }
    for (let i = list.length - 1; i >= 0; i--) {
      const entry = list[i];
      if (entry.windowStart === windowStart) return entry;
    }
    return undefined;
  }

  #addBlank(mapKey: string, windowStart: number): Entry {
    checkStart(windowStart);
    return this.#add(this.blank(mapKey, windowStart));
  }

  #add(entry: Entry): Entry {
    const list = this.#entries.get(entry.key);
    if (list === undefined) this.#entries.set(entry.key, [entry]);
    else list.push(entry);
    this.home.cache.add(entry);
    return entry;
  }
}

function checkStart(windowStart: number): void {
  if (!(Number.isSafeInteger(windowStart) && windowStart >= 0)) throw new RangeError(`window start ${windowStart} is no epoch time in ms`);
}
