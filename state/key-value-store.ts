/** The cached store behind KeyValueStore: a hit is one map look-up. */
import type { ByteWriter } from "./byte-writer.ts";
import { CachedStore } from "./cached-store.ts";
import type { Entry } from "./object-cache.ts";
import { scanStore } from "./scan-store.ts";
import type { KeyValueStore } from "./store.ts";

export class CachedKeyValueStore<K, V> extends CachedStore<K> implements KeyValueStore<K, V> {
  readonly #entries = new Map<string, Entry>();

  get(key: K): V | undefined {
    const mapKey = this.keyOf(key);
    let entry = this.#entries.get(mapKey);
    if (entry === undefined) {
      entry = this.#add(this.load(mapKey, -1));
    } else {
      this.hits++;
      entry.referenced = true;
    }
    return entry.value as V | undefined;
  }

  put(key: K, value: V): void {
    const mapKey = this.keyOf(key);
    const entry = this.#entries.get(mapKey) ?? this.#add(this.blank(mapKey, -1));
    entry.value = value;
    entry.present = true;
    entry.referenced = true;
    if (!entry.dirty) this.markDirty(entry);
  }

  delete(key: K): void {
    const mapKey = this.keyOf(key);
    let entry = this.#entries.get(mapKey);
    if (entry === undefined) entry = this.#add(this.blank(mapKey, -1));
    else if (!entry.present) return;
    entry.value = undefined;
    entry.present = false;
    if (!entry.dirty) this.markDirty(entry);
  }

  scan(): AsyncIterable<readonly [K, V]> {
    return scanStore(this, (key, value) => [key as K, value as V]);
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
  }

  override forgetAll(): void {
    this.#entries.clear();
  }

  /** A deleted row stays as known to be absent: device keys come back, and the cache bounds it. */
  override settled(): void {}

  #add(entry: Entry): Entry {
    this.#entries.set(entry.key, entry);
    this.home.cache.add(entry);
    return entry;
  }
}
