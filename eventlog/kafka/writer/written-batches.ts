/** What becomes of a record set's batches once Kafka has them. */
import { LogError } from "../../errors.ts";
import type { BatchBuilder } from "../../records/batch-builder.ts";
import type { RecordSet } from "../../records/record-set.ts";
import type { BatchObserver } from "./outgoing-batch.ts";

/** Those with records. @throws LogError `invalid-state` for a set whose records are on their way or written already, in part or all of them. */
export function unwrittenBuilders(records: RecordSet): BatchBuilder[] {
  const builders = records.builders.filter(({ recordCount }) => recordCount > 0);
  if (builders.some(({ isPartlyWritten }) => isPartlyWritten))
    throw new LogError("invalid-state", "a set of records that was written must be cleared before it is written again");
  return builders;
}

/** Gives the buffers of a builder back as its batches are written, one after the other; none behind a batch that failed. */
export class WrittenBatches implements BatchObserver {
  readonly #builder: BatchBuilder;
  readonly #next: BatchObserver;
  /** Records of each batch that is left, in order. One that was split is written in parts. */
  readonly #left: number[];
  #failed = false;

  /** @param next learns of everything after it */
  constructor(builder: BatchBuilder, next: BatchObserver) {
    this.#builder = builder;
    this.#next = next;
    this.#left = builder.batches.map(({ recordCount }) => recordCount);
  }

  batchDone(recordCount: number, baseOffset: number, topic: string, partition: number, error: Error | undefined): void {
    this.#failed ||= error !== undefined;
    if (!this.#failed) {
      this.#left[0] -= recordCount;
      if (this.#left[0] === 0) {
        this.#left.shift();
        this.#builder.batchWritten();
      }
    }
    this.#next.batchDone(recordCount, baseOffset, topic, partition, error);
  }
}
