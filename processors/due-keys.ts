/** Keys that have to be looked at again at a time, asked for in the order of their times. */

/** Keys of a later bucket, side by side with their times: there may be millions. */
class Bucket {
  readonly #keys: string[] = [];
  readonly #dueAt: number[] = [];

  push(key: string, dueAt: number): void {
    this.#keys.push(key);
    this.#dueAt.push(dueAt);
  }

  entries(): DueKey[] {
    return this.#keys.map((key, index) => ({ key, dueAt: this.#dueAt[index] }));
  }
}

export interface DueKey {
  readonly key: string;
  /** Epoch ms. */
  readonly dueAt: number;
}

/** Buckets per waiting time: a bucket is short to sort. */
const BUCKETS_PER_WAIT = 64;

/**
 * A timer wheel without fixed size. It is not told when a key's time moves on: whoever takes a key out looks at the
 * key's row and puts it back, so that a record costs nothing here.
 */
export class DueKeys {
  readonly #bucketMs: number;
  readonly #onNear: (key: string) => void;
  readonly #buckets = new Map<number, Bucket>();
  /** The earliest bucket that may hold something. */
  #bucket = Infinity;
  /** Of the bucket in hand, sorted, last first out. Undefined before its time. */
  #sorted: DueKey[] | undefined;

  /** @param waitMs how long keys wait, about; `onNear`: told of each key of a bucket when the bucket's time begins. */
  constructor(waitMs: number, onNear: (key: string) => void) {
    this.#bucketMs = Math.max(1, Math.ceil(waitMs / BUCKETS_PER_WAIT));
    this.#onNear = onNear;
  }

  put(key: string, dueAt: number): void {
    const bucket = Math.floor(dueAt / this.#bucketMs);
    if (this.#sorted !== undefined && bucket <= this.#bucket) {
      insertSorted(this.#sorted, { key, dueAt });
      return;
    }
    let waiting = this.#buckets.get(bucket);
    if (waiting === undefined) this.#buckets.set(bucket, (waiting = new Bucket()));
    waiting.push(key, dueAt);
    if (bucket < this.#bucket) this.#bucket = bucket;
  }

  /** Takes out the next key whose time has come; keys of one time in the order of their names. */
  take(now: number): DueKey | undefined {
    for (;;) {
      if (this.#sorted !== undefined) {
        const next = this.#sorted.at(-1);
        if (next !== undefined) return next.dueAt > now ? undefined : this.#sorted.pop();
        this.#sorted = undefined;
        this.#bucket = earliest(this.#buckets);
      }
      if (this.#bucket * this.#bucketMs > now || this.#bucket === Infinity) return undefined;
      this.#sorted = (this.#buckets.get(this.#bucket)?.entries() ?? []).sort(lastFirst);
      this.#buckets.delete(this.#bucket);
      for (const { key } of this.#sorted) this.#onNear(key);
    }
  }

  /** Takes out everything, in the same order. */
  takeAll(): DueKey[] {
    const waiting = [...this.#buckets.values()].map((bucket) => bucket.entries());
    const all = (this.#sorted ?? []).concat(...waiting).sort((a, b) => lastFirst(b, a));
    this.#buckets.clear();
    this.#bucket = Infinity;
    this.#sorted = undefined;
    return all;
  }
}

function insertSorted(sorted: DueKey[], due: DueKey): void {
  let at = sorted.length;
  while (at > 0 && lastFirst(sorted[at - 1], due) > 0) at--;
  sorted.splice(at, 0, due);
}

function lastFirst(a: DueKey, b: DueKey): number {
  return b.dueAt - a.dueAt || (a.key < b.key ? 1 : -1);
}

/** Few buckets are in use at once: those of one wait ahead. */
function earliest(buckets: ReadonlyMap<number, unknown>): number {
  let least = Infinity;
  for (const bucket of buckets.keys()) if (bucket < least) least = bucket;
  return least;
}
