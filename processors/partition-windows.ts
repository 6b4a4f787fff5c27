/** Windows by the partition's time, Kafka Streams' rule: final when `end + grace <= stream time`, for all devices alike. */
import type { StreamRecord } from "../topology/processor.ts";
import type { TelemetryEvent } from "./event.ts";
import { WindowSet, type Clocks } from "./window-set.ts";

export class PartitionWindows extends WindowSet {
  /** Keys of each window start, in the order of their first record. */
  readonly #keys = new Map<number, string[]>();
  /** The starts of #keys, ascending. */
  readonly #starts: number[] = [];
  /** While the index is rebuilt. */
  #restoring: { readonly key: string; readonly start: number; readonly lastReceiveTs: number }[] = [];

  /** Most events are for the latest window of all. */
  override readAhead(key: string): void {
    const start = this.#starts.at(-1);
    if (start !== undefined) this.prefetch(key, start);
  }

  override advance(_record: StreamRecord<string, TelemetryEvent>, clocks: Clocks): void {
    this.advanceIdle(clocks);
  }

  override advanceIdle({ streamTime, receiveTime }: Clocks): void {
    while (this.#starts.length > 0 && this.#starts[0] + this.finalAfterMs <= streamTime) {
      const start = this.#starts.shift() as number;
      const keys = this.#keys.get(start) ?? [];
      this.#keys.delete(start);
      for (const key of keys) this.close(key, start, false, receiveTime);
    }
  }

  override closeAll(receiveTime: number): void {
    for (const start of this.#starts)
      for (const key of this.#keys.get(start) ?? [])
        if (this.at(key, start).value?.closed === false) this.close(key, start, true, receiveTime);
  }

  override add(record: StreamRecord<string, TelemetryEvent>, clocks: Clocks): boolean {
    const start = this.startOf(record.value.ts);
    if (start + this.finalAfterMs <= clocks.streamTime) return false;
    const found = this.at(record.key, start);
    const row = found.value;
    if (row?.closed === true) return false;
    if (row === undefined) {
      this.#remember(record.key, start);
      this.begin(record, start, clocks.receiveTime);
    } else this.aggregate(found, row, record.value, clocks.receiveTime);
    return true;
  }

  protected override clear(): void {
    this.#keys.clear();
    this.#starts.length = 0;
  }

  protected override restore(key: string, start: number, _closed: boolean, lastReceiveTs: number): void {
    this.#restoring.push({ key, start, lastReceiveTs });
  }

  /** In the order in which their records came. */
  protected override restored(): void {
    this.#restoring.sort((a, b) => a.lastReceiveTs - b.lastReceiveTs || a.start - b.start);
    for (const { key, start } of this.#restoring) this.#remember(key, start);
    this.#restoring = [];
  }

  #remember(key: string, start: number): void {
    const keys = this.#keys.get(start);
    if (keys !== undefined) {
      keys.push(key);
      return;
    }
    this.#keys.set(start, [key]);
    let at = this.#starts.length;
    while (at > 0 && this.#starts[at - 1] > start) at--;
    this.#starts.splice(at, 0, start);
  }
}
