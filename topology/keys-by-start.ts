/** Keys of windows by the windows' start: a store is ordered by key, and closing what is due must not scan it. */
export class KeysByStart<K> {
  readonly #keys = new Map<number, Set<K>>();
  /** The starts of #keys, ascending. */
  readonly #starts: number[] = [];

  /** Infinity when there are none. Epoch ms. */
  get earliest(): number {
    return this.#starts.length === 0 ? Infinity : this.#starts[0];
  }

  /** -Infinity when there are none. Epoch ms. */
  get latest(): number {
    return this.#starts.length === 0 ? -Infinity : this.#starts[this.#starts.length - 1];
  }

  /** A key counts once per start. */
  add(key: K, start: number): void {
    const keys = this.#keys.get(start);
    if (keys !== undefined) {
      keys.add(key);
      return;
    }
    this.#keys.set(start, new Set([key]));
    let at = this.#starts.length;
    while (at > 0 && this.#starts[at - 1] > start) at--;
    this.#starts.splice(at, 0, start);
  }

  /** The keys of `earliest`, taken out, in the order in which they were added. */
  takeEarliest(): ReadonlySet<K> {
    const start = this.#starts.shift();
    const keys = start === undefined ? undefined : this.#keys.get(start);
    if (start !== undefined) this.#keys.delete(start);
    return keys ?? new Set();
  }

  /** By start, earliest first. */
  *[Symbol.iterator](): Iterator<readonly [start: number, keys: ReadonlySet<K>]> {
    for (const start of this.#starts) yield [start, this.#keys.get(start) ?? new Set()];
  }

  clear(): void {
    this.#keys.clear();
    this.#starts.length = 0;
  }
}
