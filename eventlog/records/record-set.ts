/** Records on their way out, grouped by partition and already in batch bytes: what one write carries. */
import { BatchBuilder } from "./batch-builder.ts";

/** A cleared set keeps buffers of so many times what it held, beside a little for each of many small ones. */
const KEPT_FACTOR = 2;
const KEPT_BYTES = 4 * 1024 * 1024;

export class RecordSet {
  readonly #maxBatchBytes: number | ((topic: string) => number);
  readonly #byTopic = new Map<string, (BatchBuilder | undefined)[]>();
  readonly #builders: BatchBuilder[] = [];

  /** @param maxBatchBytes a batch is closed before it grows past this (a single larger record still makes one); of each topic, or by topic. */
  constructor(maxBatchBytes: number | ((topic: string) => number)) {
    this.#maxBatchBytes = maxBatchBytes;
  }

  /** The builder of one partition, made on first use; keep it while the set lives. */
  partition(topic: string, partition: number): BatchBuilder {
    let partitions = this.#byTopic.get(topic);
    if (partitions === undefined) this.#byTopic.set(topic, (partitions = []));
    let builder = partitions[partition];
    if (builder === undefined) {
      const max = this.#maxBatchBytes;
      builder = partitions[partition] = new BatchBuilder(topic, partition, typeof max === "number" ? max : max(topic));
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

  /**
   * Empties every builder for reuse; the buffers stay, unless they have become many times what the set holds: partitions that took
   * turns with a lot of output would else keep room for all of it, each.
   */
  clear(): void {
    let capacity = 0;
    for (const builder of this.#builders) capacity += builder.capacity;
    const isRoomy = capacity > KEPT_FACTOR * this.byteLength + KEPT_BYTES;
    for (const builder of this.#builders) {
      if (isRoomy && builder.capacity > KEPT_FACTOR * builder.byteLength) builder.release();
      builder.clear();
    }
  }
}
