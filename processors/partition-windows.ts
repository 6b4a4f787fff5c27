/** Windows by the partition's time, Kafka Streams' rule: final when `end + grace <= stream time`, for all devices alike. */
import type { RowHandle } from "../state/store.ts";
import { KeysByStart } from "../topology/keys-by-start.ts";
import type { StreamRecord } from "../topology/processor.ts";
import type { TelemetryEvent } from "./event.ts";
import { parseDeviceKey } from "./formats/names.ts";
import { WindowRow } from "./window-row.ts";
import { placeByStart, WindowSet, type Clocks } from "./window-set.ts";

export class PartitionWindows extends WindowSet {
  readonly #open = new KeysByStart<string>();

  /** Most events are for the latest window of all. */
  override readAhead(key: string): void {
    const start = this.#open.latest;
    if (start !== -Infinity) this.rows.prefetch(key, placeByStart(start));
  }

  override advance(_record: StreamRecord<string, TelemetryEvent>, clocks: Clocks): void {
    this.advanceIdle(clocks);
  }

  override advanceIdle({ streamTime }: Clocks): void {
    while (this.#open.earliest + this.finalAfterMs <= streamTime) {
      const start = this.#open.earliest;
      for (const key of this.#open.takeEarliest()) {
        const { value: row } = this.#at(key, start);
        this.rows.delete(key, placeByStart(start));
        if (row !== undefined) this.#close(key, start, row);
      }
    }
  }

  override closeAll(receiveTime: number): void {
    for (const [start, keys] of this.#open) for (const key of keys) this.#closeEarly(key, start, receiveTime);
  }

  override add(record: StreamRecord<string, TelemetryEvent>, clocks: Clocks): boolean {
    const start = this.startOf(record.value.ts);
    if (start + this.finalAfterMs <= clocks.streamTime) return false;
    const found = this.#at(record.key, start);
    const row = found.value;
    if (row?.closed === true) return false;
    if (row === undefined) {
      this.#open.add(record.key, start);
      this.rows.put(record.key, placeByStart(start), this.rowOf(record.value, clocks.receiveTime));
    } else this.aggregate(found, row, record.value, clocks.receiveTime);
    return true;
  }

  override index(): Promise<void> {
    return this.rows.scanStored((key, place) => this.#open.add(key, place - placeByStart(0)));
  }

  /** What was emitted stays, empty, to tell late records. */
  #closeEarly(key: string, start: number, receiveTime: number): void {
    const row = this.#at(key, start).value;
    if (row === undefined || row.closed) return;
    const stub = new WindowRow([], receiveTime);
    stub.closed = true;
    this.rows.put(key, placeByStart(start), stub);
    this.#close(key, start, row);
  }

  #close(key: string, start: number, row: WindowRow): void {
    this.emit(key, parseDeviceKey(key) ?? { tenant: "", deviceId: key }, start, row);
    this.recycle(row);
  }

  #at(key: string, start: number): RowHandle<WindowRow> {
    return this.rows.at(key, placeByStart(start), undefined);
  }
}
