/** The keys of the next few records of a batch, decoded before their turn, so that rows can be brought near meanwhile. */
import type { RecordsView } from "../eventlog/records/view.ts";
import type { Serde } from "../state/serde.ts";

/** Enough for the loads of several records to overlap; few enough that what they load is still in the cache at its turn. Records. */
const AHEAD = 32;

/** The key's serde threw: it will again when the record is processed, and then it counts. */
export const UNREADABLE = Symbol("unreadable");

/** As Processor.prefetch(). */
export type Prefetch = (sourceKeys: readonly unknown[], count: number) => void;

export class KeyLookahead {
  readonly #keys: unknown[] = new Array<unknown>(AHEAD).fill(null);
  /** Those that there are and that can be read: for `prefetch`. */
  readonly #near: unknown[] = new Array<unknown>(AHEAD).fill(null);
  /** Records [#from, #until) of the batch at the head of the queue are decoded. */
  #from = 0;
  #until = 0;

  /** Another batch is at the head. */
  reset(): void {
    this.#until = 0;
  }

  /** The record's key; null for none. Decodes the next ones when it must, and gives each to `prefetch`. */
  key(view: RecordsView, index: number, serde: Serde<unknown>, prefetch: Prefetch): unknown {
    if (index >= this.#until) this.#fill(view, index, serde, prefetch);
    const key = this.#keys[index - this.#from];
    return key === UNREADABLE ? serde.read(view.bytes, view.keyStarts[index], view.keyEnds[index]) : key;
  }

  #fill(view: RecordsView, index: number, serde: Serde<unknown>, prefetch: Prefetch): void {
    const keys = this.#keys;
    const until = Math.min(view.count, index + AHEAD);
    const near = this.#near;
    let count = 0;
    for (let i = index; i < until; i++) {
      const key = (keys[i - index] = readKey(view, i, serde));
      if (key !== UNREADABLE && key !== null) near[count++] = key;
    }
    this.#from = index;
    this.#until = until;
    // apart from the decoding: short steps with independent loads, which the processor then overlaps
    prefetch(near, count);
  }
}

/** null for none; UNREADABLE instead of an error. */
export function readKey(view: RecordsView, index: number, serde: Serde<unknown>): unknown {
  const start = view.keyStarts[index];
  if (start < 0) return null;
  try {
    return serde.read(view.bytes, start, view.keyEnds[index]);
  } catch {
    return UNREADABLE;
  }
}
