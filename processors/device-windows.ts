/** Windows by each device's own time: final when that passes end + grace, or when the partition's receive time is `idleMs` past the last record. */
import type { Output, StreamRecord } from "../topology/processor.ts";
import type { TelemetryEvent } from "./event.ts";
import type { AggregateRecord } from "./formats/records.ts";
import { IdleWindows, type WaitingWindow } from "./idle-windows.ts";
import type { WindowSettings } from "./settings.ts";
import { OpenWindows } from "./open-windows.ts";
import type { WindowRow, WindowRows } from "./window-row.ts";
import { WindowSet, type Clocks, type WindowCounters } from "./window-set.ts";

/** Stubs dropped at one record: keeps a single record's work short. */
const MAX_STUBS_PER_RECORD = 16;

export class DeviceWindows extends WindowSet {
  readonly #idleMs: number;
  /** How long a stub outlives its window when its device never comes back. Receive time. */
  readonly #stubMs: number;
  /** Which of Device.windows is this one's. */
  readonly #index: number;
  /** Devices with windows. */
  readonly #devices = new Map<string, OpenWindows>();
  readonly #open: IdleWindows<OpenWindows>;
  readonly #stubs: IdleWindows<OpenWindows>;

  constructor(
    settings: WindowSettings,
    index: number,
    stubMs: number,
    rows: WindowRows,
    aggregates: Output<string, AggregateRecord>,
    counters: WindowCounters,
  ) {
    super(settings, rows, aggregates, counters);
    this.#index = index;
    this.#idleMs = settings.idleMs;
    this.#stubMs = stubMs;
    this.#open = new IdleWindows(settings.idleMs);
    this.#stubs = new IdleWindows(stubMs);
  }

  /** Most events are for the device's latest window. */
  override readAhead(key: string): void {
    const windows = this.#devices.get(key);
    if (windows !== undefined && windows.count > 0) this.prefetch(key, windows.start(windows.count - 1));
  }

  override advance(record: StreamRecord<string, TelemetryEvent>, clocks: Clocks): void {
    this.advanceIdle(clocks);
    const windows = this.#windowsOf(record);
    while (windows !== undefined && windows.count > 0 && windows.start(0) + this.finalAfterMs <= clocks.deviceTime) {
      const start = windows.start(0);
      this.#remove(windows, 0);
      this.close(record.key, start, false, clocks.receiveTime);
    }
  }

  override advanceIdle({ receiveTime }: Clocks): void {
    for (let due = this.#open.take(receiveTime); due !== undefined; due = this.#open.take(receiveTime)) {
      const index = due.device.find(due.start);
      if (index < 0 || due.device.isStub(index)) continue;
      due.dueAt = due.device.since(index) + this.#idleMs;
      if (due.dueAt > receiveTime) this.#open.put(due);
      else this.#closeIdle(due, index, due.dueAt);
    }
    for (let dropped = 0; dropped < MAX_STUBS_PER_RECORD; dropped++) {
      const due = this.#stubs.take(receiveTime);
      if (due === undefined) break;
      const index = due.device.find(due.start);
      if (index < 0 || !due.device.isStub(index)) continue;
      this.#remove(due.device, index);
      this.forget(due.device.key, due.start);
    }
  }

  override closeAll(receiveTime: number): void {
    for (const waiting of this.#open.takeAll()) {
      const index = waiting.device.find(waiting.start);
      if (index >= 0 && !waiting.device.isStub(index)) this.#closeIdle(waiting, index, receiveTime);
    }
  }

  override add(record: StreamRecord<string, TelemetryEvent>, clocks: Clocks): boolean {
    const { key, value: event } = record;
    const start = this.startOf(event.ts);
    if (start + this.finalAfterMs <= clocks.deviceTime) return false;
    if (!this.isIndexed) this.#findBefore(key, start, clocks);
    const windows = this.#windowsOf(record);
    const index = windows === undefined ? -1 : windows.find(start);
    if (windows === undefined || index < 0) {
      this.#insert(key, start, clocks.receiveTime, false);
      this.begin(record, start, clocks.receiveTime);
      return true;
    }
    if (windows.isStub(index)) return false;
    const found = this.at(key, start, windows.row(index));
    windows.used(index, clocks.receiveTime, found);
    if (found.value === undefined) this.begin(record, start, clocks.receiveTime);
    else this.aggregate(found, found.value, event, clocks.receiveTime);
    return true;
  }

  protected override found(key: string, start: number, row: WindowRow): void {
    if ((this.#devices.get(key)?.find(start) ?? -1) < 0) this.#insert(key, start, row.lastReceiveTs, row.closed);
  }

  /** The window that a record is for may be one of before that is not indexed yet, and may have gone idle since. */
  #findBefore(key: string, start: number, clocks: Clocks): void {
    if ((this.#devices.get(key)?.find(start) ?? -1) >= 0) return;
    const row = this.at(key, start).value;
    if (row === undefined) return;
    this.#insert(key, start, row.lastReceiveTs, row.closed);
    this.advanceIdle(clocks);
  }

  /** By way of the device; what stands there is stale when it has no windows left. */
  #windowsOf({ key, value: { device } }: StreamRecord<string, TelemetryEvent>): OpenWindows | undefined {
    const known = device?.windows[this.#index];
    if (known !== undefined && known.count > 0) return known;
    const found = this.#devices.get(key);
    if (device !== undefined) device.windows[this.#index] = found;
    return found;
  }

  /** `closedAt`: when it became idle, not when that was found. */
  #closeIdle(waiting: WaitingWindow<OpenWindows>, index: number, closedAt: number): void {
    const { device, start } = waiting;
    device.becomeStub(index, closedAt);
    waiting.dueAt = closedAt + this.#stubMs;
    this.#stubs.put(waiting);
    this.close(device.key, start, true, closedAt);
  }

  #insert(key: string, start: number, since: number, isStub: boolean): void {
    let device = this.#devices.get(key);
    if (device === undefined) this.#devices.set(key, (device = new OpenWindows(key)));
    device.insert(start, since, isStub);
    const dueAt = since + (isStub ? this.#stubMs : this.#idleMs);
    (isStub ? this.#stubs : this.#open).put({ device, start, dueAt });
  }

  /** What waits in a wheel finds nothing when its turn comes. */
  #remove(device: OpenWindows, index: number): void {
    device.remove(index);
    if (device.count === 0) this.#devices.delete(device.key);
  }
}
