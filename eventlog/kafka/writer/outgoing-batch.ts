/** A batch of the plain writer on its way out, and who wants to know what becomes of it. */
import type { PendingBatch } from "../../records/batch-builder.ts";
import { BatchBuilder } from "../../records/batch-builder.ts";
import { encodeBatch } from "../../records/encode-batch.ts";
import { ParsedBatch } from "../../records/parsed-batch.ts";

export type RecordDone = (error: Error | undefined) => void;

/** Learns of each batch of a write() or before a flush(); several batches may share one. */
export interface BatchObserver {
  batchDone(recordCount: number, baseOffset: number, topic: string, partition: number, error: Error | undefined): void;
}

export class OutgoingBatch {
  readonly topic: string;
  readonly partition: number;
  readonly pending: PendingBatch;
  /** One a record, or empty when only `observers` want to know. */
  readonly dones: readonly RecordDone[];
  readonly observers: BatchObserver[];
  /** performance.now() when its first record came. */
  readonly createdAt: number;
  /** Final bytes, made at the first try; kept, as a retry must repeat the same batch. */
  encoded: Buffer | undefined;
  attempts = 0;

  constructor(
    at: { readonly topic: string; readonly partition: number; readonly createdAt: number },
    pending: PendingBatch,
    dones: readonly RecordDone[],
    observers: BatchObserver[],
  ) {
    this.topic = at.topic;
    this.partition = at.partition;
    this.createdAt = at.createdAt;
    this.pending = pending;
    this.dones = dones;
    this.observers = observers;
  }

  get recordCount(): number {
    return this.pending.recordCount;
  }

  get byteLength(): number {
    return this.pending.byteLength;
  }

  /** Tells everyone. `baseOffset` is -1 with an error, or when the broker only knows that it has the batch. */
  settle(baseOffset: number, error: Error | undefined): void {
    for (const observer of this.observers) observer.batchDone(this.recordCount, baseOffset, this.topic, this.partition, error);
    for (const done of this.dones) done(error);
  }

  /** Two batches of half the records each, for a topic whose limit is below ours. Only for more than one record. */
  halves(): [OutgoingBatch, OutgoingBatch] {
    const bytes = encodeBatch(this.pending, {});
    const records = new ParsedBatch(bytes, 0, bytes.length).records();
    const middle = records.count >>> 1;
    const half = (from: number, to: number): OutgoingBatch => {
      const builder = new BatchBuilder(this.topic, this.partition, Infinity);
      for (let i = from; i < to; i++) {
        const { bytes: source } = records;
        const key = records.keyStarts[i] < 0 ? null : source;
        const value = records.valueStarts[i] < 0 ? null : source;
        const headers = records.headers(i);
        builder.append(
          records.timestamps[i],
          key,
          records.keyStarts[i],
          records.keyEnds[i],
          value,
          records.valueStarts[i],
          records.valueEnds[i],
          headers,
        );
      }
      return new OutgoingBatch(this, builder.batches[0], this.dones.slice(from, to), this.observers);
    };
    return [half(0, middle), half(middle, records.count)];
  }
}
