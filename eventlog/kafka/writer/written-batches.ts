/** What becomes of a record set's batches once Kafka has them. */
import { LogError } from "../../errors.ts";
import type { BatchBuilder } from "../../records/batch-builder.ts";
import type { RecordSet } from "../../records/record-set.ts";
import type { BatchObserver } from "./outgoing-batch.ts";

/** Those with records. @throws LogError `invalid-state` for a set of which something is written already. */
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
  /** Of the oldest batch that is left: one that was split is written in parts. */
  #writtenRecords = 0;
  #failed = false;

  /** @param next learns of everything after it */
  constructor(builder: BatchBuilder, next: BatchObserver) {
    this.#builder = builder;
    this.#next = next;
  }

  batchDone(recordCount: number, baseOffset: number, topic: string, partition: number, error: Error | undefined): void {
    this.#failed ||= error !== undefined;
    if (!this.#failed) {
      this.#writtenRecords += recordCount;
      if (this.#writtenRecords === this.#builder.batches[0].recordCount) {
        this.#writtenRecords = 0;
        this.#builder.batchWritten();
      }
    }
    this.#next.batchDone(recordCount, baseOffset, topic, partition, error);
  }
}
