/** Which windows may have gone idle, asked in the order in which they were due when they were put in. */

/** One window of one device, waiting. `dueAt`: receive time at which it may be idle, at the earliest. */
export interface WaitingWindow<D> {
  readonly device: D;
  readonly start: number;
  dueAt: number;
}

/** Windows of a later bucket, side by side: there may be millions. */
class Bucket<D> {
  readonly #devices: D[] = [];
  /** Start and due time of each. */
  readonly #times: number[] = [];

  push(device: D, start: number, dueAt: number): void {
    this.#devices.push(device);
    this.#times.push(start, dueAt);
  }

  windows(): WaitingWindow<D>[] {
    const times = this.#times;
    return this.#devices.map((device, index) => ({ device, start: times[2 * index], dueAt: times[2 * index + 1] }));
  }
}

/** Buckets per idle time: what an update moves on is looked at again within 1/64 of the idle time, and a bucket is short to sort. */
const BUCKETS_PER_IDLE = 64;

/**
 * A timer wheel without fixed size. A record only writes its window's last receive time; the wheel asks the device for
 * it when the window's turn comes, and puts the window back when it is not idle yet: no list to keep in order per record.
 */
export class IdleWindows<D> {
  readonly #bucketMs: number;
  readonly #buckets = new Map<number, Bucket<D>>();
  /** The earliest bucket that may hold something. */
  #bucket = Infinity;
  /** Of the bucket in hand, sorted, last first out. Undefined before its time. */
  #sorted: WaitingWindow<D>[] | undefined;

  constructor(idleMs: number) {
    this.#bucketMs = Math.max(1, Math.ceil(idleMs / BUCKETS_PER_IDLE));
  }

  put(window: WaitingWindow<D>): void {
    const { device, start, dueAt } = window;
    const bucket = Math.floor(dueAt / this.#bucketMs);
    if (this.#sorted !== undefined && bucket <= this.#bucket) {
      this.#insertSorted(this.#sorted, window);
      return;
    }
    let waiting = this.#buckets.get(bucket);
    if (waiting === undefined) this.#buckets.set(bucket, (waiting = new Bucket<D>()));
    waiting.push(device, start, dueAt);
    if (bucket < this.#bucket) this.#bucket = bucket;
  }

  /** Takes out the next window whose time may have come; by due time, then start: the same order at each replay. */
  take(now: number): WaitingWindow<D> | undefined {
    for (;;) {
      if (this.#sorted !== undefined) {
        const next = this.#sorted[this.#sorted.length - 1];
        if (next !== undefined) {
          if (next.dueAt > now) return undefined;
          return this.#sorted.pop();
        }
        this.#sorted = undefined;
        this.#bucket = earliest(this.#buckets);
      }
      if (this.#bucket * this.#bucketMs > now || this.#bucket === Infinity) return undefined;
      this.#sorted = (this.#buckets.get(this.#bucket)?.windows() ?? []).sort(lastFirst);
      this.#buckets.delete(this.#bucket);
    }
  }

  /** Takes out everything, in the same order. */
  takeAll(): WaitingWindow<D>[] {
    const waiting = [...this.#buckets.values()].map((bucket) => bucket.windows());
    const all = (this.#sorted ?? [])
      .concat(...waiting)
      .sort(lastFirst)
      .reverse();
    this.clear();
    return all;
  }

  clear(): void {
    this.#buckets.clear();
    this.#bucket = Infinity;
    this.#sorted = undefined;
  }

  #insertSorted(sorted: WaitingWindow<D>[], window: WaitingWindow<D>): void {
    let at = sorted.length;
    while (at > 0 && lastFirst(sorted[at - 1], window) > 0) at--;
    sorted.splice(at, 0, window);
  }
}

function lastFirst(a: WaitingWindow<unknown>, b: WaitingWindow<unknown>): number {
  return b.dueAt - a.dueAt || b.start - a.start;
}

/** Few buckets are in use at once: those of one idle time ahead. */
function earliest(buckets: ReadonlyMap<number, unknown>): number {
  let least = Infinity;
  for (const bucket of buckets.keys()) if (bucket < least) least = bucket;
  return least;
}
