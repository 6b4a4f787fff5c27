/** Records on their way out, grouped by partition and already in batch bytes: what one write carries. */
import { BatchBuilder } from "./batch-builder.ts";

export class RecordSet {
  readonly #maxBatchBytes: number;
  readonly #byTopic = new Map<string, (BatchBuilder | undefined)[]>();
  readonly #builders: BatchBuilder[] = [];

  /** @param maxBatchBytes a batch is closed before it grows past this (a single larger record still makes one). */
  constructor(maxBatchBytes: number) {
    this.#maxBatchBytes = maxBatchBytes;
  }

  /** The builder of one partition, made on first use; keep it while the set lives. */
  partition(topic: string, partition: number): BatchBuilder {
    let partitions = this.#byTopic.get(topic);
    if (partitions === undefined) this.#byTopic.set(topic, (partitions = []));
    let builder = partitions[partition];
    if (builder === undefined) {
      builder = partitions[partition] = new BatchBuilder(topic, partition, this.#maxBatchBytes);
      this.#builders.push(builder);
    }
    return builder;
  }

  /** Builders in the order of their first use; some may be empty. */
  get builders(): readonly BatchBuilder[] {
    return this.#builders;
  }

  get recordCount(): number {
    let count = 0;
    for (const builder of this.#builders) count += builder.recordCount;
    return count;
  }

  get byteLength(): number {
    let bytes = 0;
    for (const builder of this.#builders) bytes += builder.byteLength;
    return bytes;
  }

  /** Empties every builder for reuse; the buffers stay. */
  clear(): void {
    for (const builder of this.#builders) builder.clear();
  }
}
