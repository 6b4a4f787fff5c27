/** Records on their way out, grouped by partition and already in batch bytes: what one write carries. */
import { BatchBuilder } from "./batch-builder.ts";
import { BufferPool } from "./buffer-pool.ts";

/**
 * A cleared set leaves in its pool so many times what it held, and a little for each of many small ones: enough for itself, for what the
 * set that is filled meanwhile has taken and for the room in their buffers, so that a buffer is only let go when there is less to write.
 */
const KEPT_FACTOR = 2;
const KEPT_BYTES = 4 * 1024 * 1024;

export class RecordSet {
  readonly #maxBatchBytes: number | ((topic: string) => number);
  readonly #byTopic = new Map<string, (BatchBuilder | undefined)[]>();
  readonly #builders: BatchBuilder[] = [];
  readonly #pool: BufferPool;

  /**
   * @param maxBatchBytes a batch is closed before it grows past this (a single larger record still makes one); of each topic, or by topic
   * @param pool shared by sets that take turns: what one does not use another may
   */
  constructor(maxBatchBytes: number | ((topic: string) => number), pool = new BufferPool()) {
    this.#maxBatchBytes = maxBatchBytes;
    this.#pool = pool;
  }

  /** The builder of one partition, made on first use; keep it while the set lives. */
  partition(topic: string, partition: number): BatchBuilder {
    let partitions = this.#byTopic.get(topic);
    if (partitions === undefined) this.#byTopic.set(topic, (partitions = []));
    let builder = partitions[partition];
    if (builder === undefined) {
      const max = this.#maxBatchBytes;
      builder = partitions[partition] = new BatchBuilder(topic, partition, typeof max === "number" ? max : max(topic), this.#pool);
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

  /** Empties every builder for reuse; the buffers go to the pool, which keeps twice what the set held. */
  clear(): void {
    const held = this.byteLength;
    for (const builder of this.#builders) builder.clear();
    this.#pool.trim(KEPT_FACTOR * held + KEPT_BYTES);
  }
}
