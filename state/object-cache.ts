/** The decoded objects of all stores of a task, bounded together: CLOCK (second chance) over one ring. */

import type { TableRow } from "./row-table.ts";

/** A decoded object takes about this many times the memory of its bytes (measured: devices 5 to 11, windows 3 to 6). */
const DECODED_FACTOR = 7;

/** The entry, its map slot, its ring slot and the key string. An estimate, bytes. */
const ENTRY_OVERHEAD_BYTES = 200;

/** What so many decoded rows of so many encoded bytes take. An estimate. */
export function decodedBytes(rows: number, encodedBytes: number): number {
  return ENTRY_OVERHEAD_BYTES * rows + DECODED_FACTOR * encodedBytes;
}

/** Entries looked at for one that comes in. Bounds the work when nearly all are dirty, as dirty ones cannot go. */
const SWEEP_STEPS = 32;

/** The store that an entry belongs to. */
export interface EntryOwner {
  readonly index: number;
  readonly changelogged: boolean;
  cachedRows: number;
  cachedBytes: number;
  evictions: number;
  /** Forget the entry: the cache dropped it. */
  evicted(entry: Entry): void;
}

/** One row, decoded; or the knowledge that there is none. What an access needs comes first, within a line of memory. */
export class Entry {
  /** undefined when not present. */
  value: unknown = undefined;
  /** In the cache's ring; -1 when evicted. */
  slot = -1;
  present = false;
  /** Changed since the last freeze. */
  dirty = false;
  /** Used since the hand came by. */
  referenced = true;
  readonly owner: EntryOwner;
  /** See CachedStore.keyOf. */
  readonly key: string;
  /** -1 in a key-value store. */
  readonly windowStart: number;
  /** Frozen sets in flight that hold this row. */
  frozen = 0;
  /** Encoded size, an estimate until the row was encoded once. */
  encodedBytes = 0;
  weight = 0;
  /** Where the last commit of this row put its bytes. */
  row: TableRow | undefined = undefined;

  constructor(owner: EntryOwner, key: string, windowStart: number) {
    this.owner = owner;
    this.key = key;
    this.windowStart = windowStart;
  }
}

export class ObjectCache {
  readonly maxBytes: number;
  readonly #ring: Entry[] = [];
  #hand = 0;
  #bytes = 0;

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes;
  }

  /** May be above the bound while rows are dirty or in flight. */
  get bytes(): number {
    return this.#bytes;
  }

  add(entry: Entry): void {
    entry.slot = this.#ring.length;
    this.#ring.push(entry);
    entry.owner.cachedRows++;
    this.resize(entry, entry.encodedBytes);
    if (this.#bytes > this.maxBytes) this.sweep(SWEEP_STEPS, entry);
  }

  remove(entry: Entry): void {
    const last = this.#ring.pop() as Entry;
    if (last !== entry) {
      this.#ring[entry.slot] = last;
      last.slot = entry.slot;
    }
    letGo(entry);
    this.#bytes -= entry.weight;
    entry.owner.cachedRows--;
    entry.owner.cachedBytes -= entry.weight;
  }

  resize(entry: Entry, encodedBytes: number): void {
    entry.encodedBytes = encodedBytes;
    const weight = decodedBytes(1, encodedBytes);
    this.#bytes += weight - entry.weight;
    entry.owner.cachedBytes += weight - entry.weight;
    entry.weight = weight;
  }

  /** Evicts clean entries until the bound holds or `steps` entries were looked at; never `keep`. */
  sweep(steps: number, keep?: Entry): void {
    const ring = this.#ring;
    for (let step = 0; step < steps && this.#bytes > this.maxBytes && ring.length > 0; step++) {
      if (this.#hand >= ring.length) this.#hand = 0;
      const entry = ring[this.#hand];
      if (entry.dirty || entry.frozen > 0 || entry === keep) {
        this.#hand++;
      } else if (entry.referenced) {
        entry.referenced = false;
        this.#hand++;
      } else {
        this.remove(entry);
        entry.owner.evictions++;
        entry.owner.evicted(entry);
      }
    }
  }

  /** Owners clear their own maps. */
  clear(): void {
    for (const entry of this.#ring) {
      letGo(entry);
      entry.owner.cachedRows--;
      entry.owner.cachedBytes -= entry.weight;
    }
    this.#ring.length = 0;
    this.#hand = 0;
    this.#bytes = 0;
  }
}

/** Whoever kept the handle keeps a small object, not the row. */
function letGo(entry: Entry): void {
  entry.slot = -1;
  entry.value = undefined;
  entry.present = false;
  entry.row = undefined;
}
