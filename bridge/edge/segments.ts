/**
 * How much is stored, and what is oldest: runs of stored batches, so that a store of gigabytes takes a few thousand entries of
 * memory. Dropping is by whole segments. Pure.
 */

export interface Segment {
  readonly baseOffset: number;
  nextOffset: number;
  bytes: number;
  /** Of the newest message in it, receive time. */
  newestTs: number;
  readonly oldestTs: number;
}

/** A segment ends at this size: the smallest amount that is dropped. Bytes. */
const SEGMENT_BYTES = 256 * 1024;
/** And after this share of the greatest age, so that what is dropped for its age is at most so much younger. */
const AGE_SHARES = 20;
/** Before this a clock cannot have been set: a gateway without a battery starts in 1970, and its messages of then are not old. */
const PLAUSIBLE_SINCE = Date.UTC(2024, 0, 1);

export class Segments {
  readonly #maxSpanMs: number;
  /** Oldest first; `#first` is the index of the first that is left. */
  #list: Segment[] = [];
  #first = 0;
  #bytes = 0;

  constructor(maxAgeMs: number) {
    this.#maxSpanMs = maxAgeMs / AGE_SHARES;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get count(): number {
    return this.#list.length - this.#first;
  }

  get oldest(): Segment | undefined {
    return this.#list[this.#first];
  }

  add(baseOffset: number, nextOffset: number, bytes: number, ts: number): void {
    this.#bytes += bytes;
    const last = this.#list.at(-1);
    if (this.count > 0 && last !== undefined && last.bytes < SEGMENT_BYTES && Math.abs(ts - last.oldestTs) <= this.#maxSpanMs) {
      last.nextOffset = nextOffset;
      last.bytes += bytes;
      last.newestTs = Math.max(last.newestTs, ts);
    } else this.#list.push({ baseOffset, nextOffset, bytes, newestTs: ts, oldestTs: ts });
  }

  /** Forgets whole segments before `offset`. */
  removeBefore(offset: number): void {
    for (let oldest = this.oldest; oldest !== undefined && oldest.nextOffset <= offset; oldest = this.oldest) {
      this.#bytes -= oldest.bytes;
      this.#first++;
    }
    if (this.#first < 1024 || this.#first * 2 < this.#list.length) return;
    this.#list = this.#list.slice(this.#first);
    this.#first = 0;
  }

  /** Where to drop to, so that at least `bytes` go; undefined: nothing is stored. */
  endOfOldest(bytes: number): number | undefined {
    let end: number | undefined;
    let sum = 0;
    for (let at = this.#first; at < this.#list.length && sum < bytes; at++) {
      sum += this.#list[at].bytes;
      end = this.#list[at].nextOffset;
    }
    return end;
  }

  /** Where to drop to, so that what is older than `before` goes; undefined: none is. What an unset clock stamped goes with what came later. */
  endOfOlder(before: number): number | undefined {
    let end: number | undefined;
    for (let at = this.#first; at < this.#list.length; at++) {
      const { newestTs, nextOffset } = this.#list[at];
      if (newestTs >= before) break;
      if (newestTs >= PLAUSIBLE_SINCE) end = nextOffset;
    }
    return end;
  }
}
