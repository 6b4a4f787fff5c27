/** What read_committed hides. Source: the fetcher of Kafka's Java client (CompletedFetch.nextFetchedRecord). */
import type { ParsedBatch } from "./parsed-batch.ts";

/** From a fetch response: the producer's batches from `firstOffset` to its next abort marker are void. */
export interface AbortedTransaction {
  readonly producerId: number;
  readonly firstOffset: number;
}

/** One filter per partition and fetch response; every batch must be shown to it once, in order. */
export class AbortedFilter {
  /** By first offset; `#next` is the first one not reached yet. */
  readonly #transactions: readonly AbortedTransaction[];
  #next = 0;
  readonly #abortedProducers = new Set<number>();

  /** @param transactions in any order. */
  constructor(transactions: readonly AbortedTransaction[]) {
    this.#transactions = [...transactions].sort((a, b) => a.firstOffset - b.firstOffset);
  }

  /** True when the batch holds records for readers: neither a control batch nor aborted. */
  keeps(batch: ParsedBatch): boolean {
    while (this.#next < this.#transactions.length && this.#transactions[this.#next].firstOffset <= batch.lastOffset) {
      this.#abortedProducers.add(this.#transactions[this.#next++].producerId);
    }
    if (batch.isControl) {
      if (batch.controlType === "abort") this.#abortedProducers.delete(batch.producerId);
      return false;
    }
    return !(batch.isTransactional && this.#abortedProducers.has(batch.producerId));
  }
}
