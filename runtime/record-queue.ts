/** Fetched and not yet processed records of one source partition, in order. */
import type { FetchedBatch } from "../eventlog/port.ts";
import type { RecordsView } from "../eventlog/records/view.ts";
import type { SourceNode } from "../topology/graph.ts";
import { KeyLookahead } from "./key-lookahead.ts";

/** Records between two looks at the clock while the queue's head batch is processed, and the bytes they may have: few of large ones. */
const RECORDS_PER_CLOCK_CHECK = 64;
const BYTES_PER_CLOCK_CHECK = 64 * 1024;

export class RecordQueue {
  readonly source: SourceNode;
  readonly partition: number;
  readonly lookahead = new KeyLookahead();
  readonly #batches: FetchedBatch[] = [];
  /** Of the batch at the head. */
  #index = 0;
  #bufferedBytes = 0;
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

  /** Done with the record at the head. */
  advance(): void {
    this.position = this.#batches[0].records.offsets[this.#index] + 1;
    this.#index++;
    if (this.#index >= this.#batches[0].records.count) this.#skipFinished();
  }

  /** Batches without (more) records move the position past control batches and compacted tails. */
  #skipFinished(): void {
    while (this.#batches.length > 0 && this.#index >= this.#batches[0].records.count) {
      const done = this.#batches.shift();
      if (done === undefined) return;
      this.position = Math.max(this.position, done.nextOffset);
      this.#bufferedBytes -= sizeOf(done);
      this.#index = 0;
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
