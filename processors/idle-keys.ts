/** Keys in the order in which they may become idle. The true time of each key's last record stays in its row. */

/**
 * A queue: a key is asked about again when `idleMs` have passed since it was put in, not at each of its records. Two
 * arrays side by side, because there may be millions of keys.
 */
export class IdleKeys {
  readonly #idleMs: number;
  #keys: string[] = [];
  /** Of each key; begins as an array of unboxed numbers. */
  #since: number[] = [];
  #head = 0;

  constructor(idleMs: number) {
    this.#idleMs = idleMs;
  }

  clear(): void {
    this.#keys = [];
    this.#since = [];
    this.#head = 0;
  }

  add(key: string, since: number): void {
    this.#keys.push(key);
    this.#since.push(since);
  }

  /** After keys were added in another order than that of their times. */
  sort(): void {
    const keys = this.#keys;
    const since = this.#since;
    const order = Uint32Array.from(keys.keys()).sort((a, b) => since[a] - since[b] || a - b);
    this.#keys = Array.from(order, (index) => keys[index]);
    this.#since = Array.from(order, (index) => since[index]);
  }

  /** Takes out the next key whose time may be up. */
  due(now: number): string | undefined {
    const head = this.#head;
    if (head >= this.#keys.length || now - this.#since[head] <= this.#idleMs) return undefined;
    const key = this.#keys[head];
    this.#head++;
    if (this.#head * 2 > this.#keys.length + 64) {
      this.#keys = this.#keys.slice(this.#head);
      this.#since = this.#since.slice(this.#head);
      this.#head = 0;
    }
    return key;
  }
}
