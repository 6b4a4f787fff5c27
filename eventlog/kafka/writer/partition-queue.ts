/** What waits to be written to one partition: sealed batches in order, then the one still growing. */
import type { RecordHeader } from "../../port.ts";
import { BatchBuilder, type PendingBatch } from "../../records/batch-builder.ts";
import { OutgoingBatch, type BatchObserver, type RecordDone } from "./outgoing-batch.ts";

const FIRST_BACKOFF_MS = 20;
const MAX_BACKOFF_MS = 1_000;

export class PartitionQueue {
  readonly topic: string;
  readonly partition: number;
  readonly #maxBatchBytes: number;
  #builder: BatchBuilder;
  #dones: RecordDone[] = [];
  #openSince = 0;
  readonly sealed: OutgoingBatch[] = [];
  /** Its first batch is on its way, or its leader is being looked up. */
  busy = false;
  /** The growing batch need not wait for company any longer. */
  due = false;
  /** No try before this time (performance.now()). */
  notBefore = 0;
  unknownSince: number | undefined;
  #failures = 0;

  constructor(topic: string, partition: number, maxBatchBytes: number) {
    this.topic = topic;
    this.partition = partition;
    this.#maxBatchBytes = maxBatchBytes;
    this.#builder = new BatchBuilder(topic, partition, maxBatchBytes);
  }

  get isEmpty(): boolean {
    return this.sealed.length === 0 && this.#dones.length === 0;
  }

  /** performance.now() of the oldest record, or Infinity. */
  get oldest(): number {
    return this.sealed[0]?.createdAt ?? (this.#dones.length > 0 ? this.#openSince : Infinity);
  }

  get isFull(): boolean {
    return this.#builder.byteLength >= this.#maxBatchBytes;
  }

  /** Returns the bytes that it takes. */
  append(
    key: Uint8Array | null,
    value: Uint8Array | null,
    headers: readonly RecordHeader[] | undefined,
    timestamp: number,
    done: RecordDone,
  ): number {
    const before = this.#builder.byteLength;
    this.#builder.append(timestamp, key, 0, key?.length ?? 0, value, 0, value?.length ?? 0, headers);
    if (this.#dones.length === 0) this.#openSince = performance.now();
    this.#dones.push(done);
    return this.#builder.byteLength - before;
  }

  /** Closes the growing batch; the next record begins another. */
  seal(): void {
    if (this.#dones.length === 0) return;
    const at = { topic: this.topic, partition: this.partition, createdAt: this.#openSince };
    let from = 0;
    for (const pending of this.#builder.batches) {
      const to = from + pending.recordCount;
      this.sealed.push(new OutgoingBatch(at, pending, this.#dones.slice(from, to), []));
      from = to;
    }
    this.#dones = [];
    this.#builder = new BatchBuilder(this.topic, this.partition, this.#maxBatchBytes);
    this.due = false;
  }

  /** Batches of a write(), behind what was sent before. */
  push(batches: readonly PendingBatch[], observer: BatchObserver): void {
    this.seal();
    const at = { topic: this.topic, partition: this.partition, createdAt: performance.now() };
    for (const pending of batches) this.sealed.push(new OutgoingBatch(at, pending, [], [observer]));
  }

  /** The batch to send now, or undefined. */
  head(): OutgoingBatch | undefined {
    if (this.sealed.length === 0 && (this.due || this.isFull)) this.seal();
    return this.sealed[0];
  }

  succeeded(): void {
    this.#failures = 0;
    this.unknownSince = undefined;
  }

  backOff(now: number): void {
    this.notBefore = now + Math.min(FIRST_BACKOFF_MS * 2 ** this.#failures, MAX_BACKOFF_MS);
    this.#failures = Math.min(this.#failures + 1, 16);
  }
}
