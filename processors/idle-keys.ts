/** Keys in the order in which they may become idle. The true time of each key's last record stays in its row. */

interface Entry {
  readonly key: string;
  readonly since: number;
}

/** A queue: a key is asked about again when `idleMs` have passed since it was put in, not at each of its records. */
export class IdleKeys {
  readonly #idleMs: number;
  #entries: Entry[] = [];
  #head = 0;

  constructor(idleMs: number) {
    this.#idleMs = idleMs;
  }

  /** Replaces everything. */
  load(entries: Iterable<readonly [key: string, since: number]>): void {
    this.#entries = [...entries].map(([key, since]) => ({ key, since })).sort((a, b) => a.since - b.since);
    this.#head = 0;
  }

  add(key: string, since: number): void {
    this.#entries.push({ key, since });
  }

  /** Takes out the next key whose time may be up. */
  due(now: number): string | undefined {
    const entry = this.#entries[this.#head];
    if (entry === undefined || now - entry.since <= this.#idleMs) return undefined;
    this.#head++;
    if (this.#head * 2 > this.#entries.length + 64) {
      this.#entries = this.#entries.slice(this.#head);
      this.#head = 0;
    }
    return entry.key;
  }
}
