/** Counts down the records of one write() or flush() and resolves when the last is settled. */
import type { WrittenRange } from "../../port.ts";
import type { BatchObserver } from "./outgoing-batch.ts";

export class Tally implements BatchObserver {
  readonly done: Promise<readonly WrittenRange[]>;
  #resolve: (ranges: readonly WrittenRange[]) => void = () => undefined;
  #reject: (error: Error) => void = () => undefined;
  #left: number;
  #error: Error | undefined;
  readonly #ranges = new Map<string, { topic: string; partition: number; baseOffset: number; nextOffset: number }>();

  /** @param records how many will be reported; with 0 it is done at once. */
  constructor(records: number) {
    this.#left = records;
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#check();
  }

  batchDone(recordCount: number, baseOffset: number, topic: string, partition: number, error: Error | undefined): void {
    this.#left -= recordCount;
    this.#error ??= error;
    const id = `${topic}/${partition}`;
    const range = this.#ranges.get(id);
    const nextOffset = baseOffset < 0 ? -1 : baseOffset + recordCount;
    if (range === undefined) this.#ranges.set(id, { topic, partition, baseOffset, nextOffset });
    else range.nextOffset = nextOffset;
    this.#check();
  }

  #check(): void {
    if (this.#left > 0) return;
    if (this.#error !== undefined) this.#reject(this.#error);
    else this.#resolve([...this.#ranges.values()]);
  }
}
