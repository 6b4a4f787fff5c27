/** Fetched and not yet processed records of one source partition, in order. */
import type { FetchedBatch } from "../eventlog/port.ts";
import type { RecordsView } from "../eventlog/records/view.ts";
import type { SourceNode } from "../topology/graph.ts";
import { KeyLookahead, readKey, UNREADABLE } from "./key-lookahead.ts";

/** Records between two looks at the clock while the queue's head batch is processed, and the bytes they may have: few of large ones. */
const RECORDS_PER_CLOCK_CHECK = 64;
const BYTES_PER_CLOCK_CHECK = 64 * 1024;

export class RecordQueue {
  readonly source: SourceNode;
  readonly partition: number;
  readonly lookahead = new KeyLookahead();
  readonly #batches: FetchedBatch[] = [];
  /** Of which every record is processed; the task's cursor may be at the last one still. */
  readonly #finished: FetchedBatch[] = [];
  /** Of the batch at the head. */
  #index = 0;
  #bufferedBytes = 0;
  /** Where the read-ahead has got to: a batch, and a record of it. Behind the head: not used of late. */
  #aheadBatch = 0;
  #aheadIndex = 0;
  /** Next offset to process: what a commit stores. -1 until the task knows it. */
  position = -1;
  /** Where fetching goes on: past what is buffered here. */
  #fetchPosition = -1;
  /** Last known end of the partition (last stable offset), for lag. */
  endOffset = -1;

  constructor(source: SourceNode, partition: number) {
    this.source = source;
    this.partition = partition;
  }

  get topic(): string {
    return this.source.topic;
  }

  get bufferedBytes(): number {
    return this.#bufferedBytes;
  }

  get fetchPosition(): number {
    return Math.max(this.#fetchPosition, this.position);
  }

  /** How many records of this size may be processed without a look at the clock; only when not empty. */
  get recordsPerClockCheck(): number {
    const [batch] = this.#batches;
    return Math.min(RECORDS_PER_CLOCK_CHECK, Math.ceil((BYTES_PER_CLOCK_CHECK * batch.records.count) / sizeOf(batch)));
  }

  get isEmpty(): boolean {
    return this.#batches.length === 0;
  }

  push(batch: FetchedBatch): void {
    this.endOffset = Math.max(this.endOffset, batch.lastStableOffset);
    this.#batches.push(batch);
    this.#fetchPosition = batch.nextOffset;
    this.#bufferedBytes += sizeOf(batch);
    this.#skipFinished();
  }

  /** The records at the head; only when not empty. */
  get view(): RecordsView {
    return this.#batches[0].records;
  }

  get index(): number {
    return this.#index;
  }

  get headTimestamp(): number {
    return this.#batches[0].records.timestamps[this.#index];
  }

  /** Records between the head and where the read-ahead has got to. */
  get recordsAhead(): number {
    let records = -this.#index;
    for (let i = 0; i < this.#aheadBatch; i++) records += this.#batches[i].records.count;
    return Math.max(0, records + this.#aheadIndex);
  }

  /** Moves the read-ahead on by up to `limit` records; their keys, those that can be decoded. False at the end of what is buffered. */
  readAhead(limit: number, visit: (key: unknown) => void): boolean {
    if (this.#aheadBatch === 0 && this.#aheadIndex < this.#index) this.#aheadIndex = this.#index;
    let left = limit;
    while (left > 0) {
      const batch = this.#batches[this.#aheadBatch];
      if (batch === undefined) return left < limit;
      const { records } = batch;
      const until = Math.min(records.count, this.#aheadIndex + left);
      left -= until - this.#aheadIndex;
      for (let i = this.#aheadIndex; i < until; i++) {
        const key = readKey(records, i, this.source.key);
        if (key !== UNREADABLE && key !== null) visit(key);
      }
      this.#aheadIndex = until;
      if (until < records.count) break;
      this.#aheadBatch++;
      this.#aheadIndex = 0;
    }
    return true;
  }

  /** Done with the record at the head. */
  advance(): void {
    this.position = this.#batches[0].records.offsets[this.#index] + 1;
    this.#index++;
    if (this.#index >= this.#batches[0].records.count) this.#skipFinished();
  }

  /** The cursor has moved on. */
  releaseFinished(): void {
    for (const batch of this.#finished.splice(0)) batch.release?.();
  }

  /** Batches without (more) records move the position past control batches and compacted tails. */
  #skipFinished(): void {
    while (this.#batches.length > 0 && this.#index >= this.#batches[0].records.count) {
      const done = this.#batches.shift();
      if (done === undefined) return;
      this.position = Math.max(this.position, done.nextOffset);
      this.#bufferedBytes -= sizeOf(done);
      this.#finished.push(done);
      this.#index = 0;
      if (this.#aheadBatch > 0) this.#aheadBatch--;
      else this.#aheadIndex = 0;
      this.lookahead.reset();
    }
  }
}

/** Stands in for the first record, whose start the columns do not tell. */
const FIRST_RECORD_BYTES = 256;

/** Bytes the records themselves take; the buffer around them may be shared by several batches. */
function sizeOf(batch: FetchedBatch): number {
  const { records } = batch;
  return records.count === 0 ? 0 : records.headerStarts[records.count - 1] - records.headerStarts[0] + FIRST_RECORD_BYTES;
}
