/**
 * What is known of a topic, found by the topic's bytes without making a string of them. Bounded like RecentMap: two generations; a full
 * young one becomes the old one, so what was used since then stays.
 */

export interface TopicEntry {
  readonly topicBytes: Uint8Array;
}

const INITIAL_SLOTS = 1024;
/** Further than this a topic is not looked for: crafted topics must not make each look-up long. */
const MAX_PROBES = 32;

export class TopicTable<V extends TopicEntry> {
  readonly #generationSize: number;
  /** Different in each process, so that colliding topics cannot be prepared. */
  readonly #seed = (Math.random() * 0x1_0000_0000) | 0;
  #young = new Generation<V>();
  #old = new Generation<V>();

  /** @param maxEntries never more than this; about half of it is kept at least */
  constructor(maxEntries: number) {
    this.#generationSize = Math.max(1, Math.floor(maxEntries / 2));
  }

  get size(): number {
    return this.#young.size + this.#old.size;
  }

  get(bytes: Uint8Array, start: number, end: number): V | undefined {
    const hash = hashOf(bytes, start, end, this.#seed);
    const known = this.#young.get(hash, bytes, start, end);
    if (known !== undefined || this.#old.size === 0) return known;
    const old = this.#old.get(hash, bytes, start, end);
    if (old !== undefined) this.#add(hash, old);
    return old;
  }

  set(value: V): void {
    const { topicBytes } = value;
    this.#add(hashOf(topicBytes, 0, topicBytes.length, this.#seed), value);
  }

  #add(hash: number, value: V): void {
    if (this.#young.size >= this.#generationSize) {
      this.#old = this.#young;
      this.#young = new Generation();
    }
    this.#young.set(hash, value);
  }
}

/** Open addressing, at most half full. */
class Generation<V extends TopicEntry> {
  #hashes = new Int32Array(INITIAL_SLOTS);
  #values: (V | undefined)[] = new Array<V | undefined>(INITIAL_SLOTS).fill(undefined);
  size = 0;

  get(hash: number, bytes: Uint8Array, start: number, end: number): V | undefined {
    const mask = this.#values.length - 1;
    for (let probe = 0; probe < MAX_PROBES; probe++) {
      const at = (hash + probe) & mask;
      const value = this.#values[at];
      if (value === undefined) return undefined;
      if (this.#hashes[at] === hash && isSame(value.topicBytes, bytes, start, end)) return value;
    }
    return undefined;
  }

  set(hash: number, value: V): void {
    if (this.size * 2 >= this.#values.length) this.#grow();
    this.#place(hash, value);
  }

  /** Left out when there is no place near: its topic is worked out each time. */
  #place(hash: number, value: V): void {
    const mask = this.#values.length - 1;
    for (let probe = 0; probe < MAX_PROBES; probe++) {
      const at = (hash + probe) & mask;
      if (this.#values[at] !== undefined) continue;
      this.#hashes[at] = hash;
      this.#values[at] = value;
      this.size++;
      return;
    }
  }

  #grow(): void {
    const [hashes, values] = [this.#hashes, this.#values];
    this.#hashes = new Int32Array(values.length * 2);
    this.#values = new Array<V | undefined>(values.length * 2).fill(undefined);
    this.size = 0;
    for (const [at, value] of values.entries()) if (value !== undefined) this.#place(hashes[at], value);
  }
}

/** FNV-1a, with a last mixing: open addressing looks at the low bits. */
function hashOf(bytes: Uint8Array, start: number, end: number, seed: number): number {
  let hash = seed;
  for (let at = start; at < end; at++) hash = Math.imul(hash ^ bytes[at], 0x01000193);
  hash ^= hash >>> 15;
  return Math.imul(hash, 0x2c1b3c6d) | 0;
}

function isSame(known: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  if (known.length !== end - start) return false;
  for (let at = 0; at < known.length; at++) if (known[at] !== bytes[start + at]) return false;
  return true;
}
