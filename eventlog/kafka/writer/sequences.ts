/** Sequence numbers of an idempotent producer: one counter a partition, from 0 with each new producer id or epoch. */

const MAX_SEQUENCE = 2 ** 31 - 1;

export class Sequences {
  readonly #next = new Map<string, number[]>();

  get(topic: string, partition: number): number {
    return this.#next.get(topic)?.[partition] ?? 0;
  }

  /** After the broker took a batch. Wraps as DefaultRecordBatch.incrementSequence does. */
  advance(topic: string, partition: number, records: number): void {
    let partitions = this.#next.get(topic);
    if (partitions === undefined) this.#next.set(topic, (partitions = []));
    const next = (partitions[partition] ?? 0) + records;
    partitions[partition] = next > MAX_SEQUENCE ? next - MAX_SEQUENCE - 1 : next;
  }

  reset(): void {
    this.#next.clear();
  }
}
