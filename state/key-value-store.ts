/** The cached store behind KeyValueStore: a hit is one map look-up. */
import type { ByteWriter } from "./byte-writer.ts";
import { CachedStore } from "./cached-store.ts";
import type { Entry } from "./object-cache.ts";
import { scanStore, visitStored } from "./scan-store.ts";
import type { KeyValueStore, RowHandle } from "./store.ts";

export class CachedKeyValueStore<K, V> extends CachedStore<K> implements KeyValueStore<K, V> {
  readonly #entries = new Map<string, Entry>();
  /** Of the last get or put: the put that follows a get needs no second look-up. */
  #last: Entry | undefined;

  get(key: K): V | undefined {
    return this.at(key, undefined).value;
  }

  at(key: K, known: RowHandle<V> | undefined): RowHandle<V> {
    let entry = known as Entry | undefined;
    if (entry === undefined || entry.slot < 0) {
      const mapKey = this.keyOf(key);
      entry = this.#find(mapKey);
      if (entry === undefined) return (this.#last = this.#add(this.load(mapKey, -1))) as RowHandle<V>;
    }
    this.#last = entry;
    this.hits++;
    entry.referenced = true;
    return entry as RowHandle<V>;
  }

  prefetch(key: K): void {
    const mapKey = this.keyOf(key);
    if (!this.#entries.has(mapKey)) this.want(mapKey, -1);
  }

  put(key: K, value: V): void {
    this.#put(this.keyOf(key), value);
  }

  set(row: RowHandle<V>, value: V): void {
    const entry = row as Entry;
    if (entry.slot >= 0) this.write(entry, value);
    else this.#put(entry.key, value);
  }

  delete(key: K): void {
    const mapKey = this.keyOf(key);
    let entry = this.#find(mapKey);
    if (entry === undefined) entry = this.#add(this.blank(mapKey, -1));
    else if (!entry.present) return;
    entry.value = undefined;
    entry.present = false;
    if (!entry.dirty) this.markDirty(entry);
  }

  scan(): AsyncIterable<readonly [K, V]> {
    return scanStore(this, (key, value) => [key as K, value as V]);
  }

  scanStored(visit: (key: K, value: V) => void): Promise<void> {
    return visitStored(this, (key, value) => visit(key as K, value as V));
  }

  override arrived(key: string, windowStart: number, name: string, value: Buffer | undefined): void {
    if (this.#entries.has(key)) return;
    const entry = this.ahead(key, windowStart, name, value);
    if (entry !== undefined) this.#add(entry);
  }

  override cached(bytes: Buffer, start: number, end: number): Entry | undefined {
    return this.#entries.size === 0 ? undefined : this.#entries.get(this.keyOf(this.decodeKey(bytes, start, end)));
  }

  override writeQueryKey(key: unknown, out: ByteWriter): void {
    this.spec.key.write(key, out);
  }

  override readQueryKey(bytes: Buffer, start: number, end: number): unknown {
    return this.decodeKey(bytes, start, end);
  }

  override evicted(entry: Entry): void {
    this.#entries.delete(entry.key);
    this.#last = undefined;
  }

  override forgetAll(): void {
    this.#entries.clear();
    this.#last = undefined;
  }

  /** A deleted row stays as known to be absent: device keys come back, and the cache bounds it. */
  override settled(entry: Entry): void {
    if (this.spec.cached || entry.dirty || entry.frozen > 0) return;
    this.home.cache.remove(entry);
    this.evicted(entry);
  }

  #put(mapKey: string, value: V): void {
    const entry = this.#find(mapKey) ?? this.#add(this.blank(mapKey, -1));
    this.#last = entry;
    this.write(entry, value);
  }

  #find(mapKey: string): Entry | undefined {
    const last = this.#last;
    return last !== undefined && last.key === mapKey ? last : this.#entries.get(mapKey);
  }

  #add(entry: Entry): Entry {
    this.#entries.set(entry.key, entry);
    this.home.cache.add(entry);
    return entry;
  }
}
