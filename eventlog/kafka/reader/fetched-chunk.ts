/** One partition's part of a fetch response, decoded batch by batch when it is handed out. */
import type { FetchedBatch } from "../../port.ts";
import { AbortedFilter } from "../../records/aborted-filter.ts";
import { parseBatches } from "../../records/parse-batches.ts";
import type { ParsedBatch } from "../../records/parsed-batch.ts";
import { EMPTY_RECORDS, type RecordsView } from "../../records/view.ts";
import type { FetchPartitionResponse } from "../requests/fetch.ts";
import { free, type FetchedAnswer } from "./fetched-answer.ts";

/** A batch on its way to the caller; `nextOffset` may still move past empty batches behind it. */
export type OutgoingBatch = { -readonly [Field in keyof FetchedBatch]: FetchedBatch[Field] };

export class FetchedChunk {
  readonly #response: FetchPartitionResponse;
  readonly #answer: FetchedAnswer;
  readonly #fetchOffset: number;
  readonly #maxBatchBytes: number | undefined;
  readonly #batches: Generator<ParsedBatch, void>;
  readonly #filter: AbortedFilter;
  #bytesLeft: number;

  /**
   * @param answer that the response is a part of
   * @param maxBatchBytes see ReaderOptions
   */
  constructor(response: FetchPartitionResponse, answer: FetchedAnswer, fetchOffset: number, maxBatchBytes?: number) {
    this.#response = response;
    this.#answer = answer;
    answer.share();
    this.#maxBatchBytes = maxBatchBytes;
    this.#fetchOffset = fetchOffset;
    this.#batches = parseBatches(response.records);
    this.#filter = new AbortedFilter(response.aborted);
    this.#bytesLeft = response.records.length;
  }

  /** Of the response, not handed out yet. */
  get bytesLeft(): number {
    return this.#bytesLeft;
  }

  /**
   * Appends batches to `out` until about `budgetBytes` are decoded; a batch without visible records only moves the
   * `nextOffset` of the one before it, if there is one. Returns the bytes decoded. Throws `corrupt-batch`, `batch-too-large`, `unsupported-compression`.
   */
  take(out: OutgoingBatch[], budgetBytes: number): number {
    const { topic, partition, highWatermark, lastStableOffset } = this.#response;
    let taken = 0;
    let last: OutgoingBatch | undefined;
    while (taken < budgetBytes) {
      const next = this.#batches.next();
      if (next.done === true) {
        this.#bytesLeft = 0;
        break;
      }
      const batch = next.value;
      this.#bytesLeft -= batch.end - batch.start;
      const records = this.#filter.keeps(batch) ? batch.records(this.#fetchOffset, this.#maxBatchBytes) : EMPTY_RECORDS;
      taken += records.bytes === batch.bytes ? batch.end - batch.start : records.bytes.length + batch.end - batch.start;
      if (records.count === 0 && last !== undefined) {
        last.nextOffset = batch.nextOffset;
        continue;
      }
      const release = this.#lend(records);
      last = { topic, partition, records, nextOffset: batch.nextOffset, highWatermark, lastStableOffset, release };
      out.push(last);
    }
    return taken;
  }

  /** Everything is handed out. */
  finished(): void {
    this.#answer.giveBack();
  }

  /** For FetchedBatch.release(). */
  #lend(records: RecordsView): (() => void) | undefined {
    if (records.count === 0) return undefined;
    const answer = records.bytes.buffer === this.#response.records.buffer ? this.#answer : undefined;
    answer?.share();
    return () => {
      if (answer === undefined) free(records.bytes.buffer);
      else answer.giveBack();
      for (const column of [records.offsets, records.timestamps, records.keyStarts]) free(column.buffer);
    };
  }
}
