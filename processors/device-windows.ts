/**
 * Windows by each device's own time: final when that passes end + grace, or when the partition's receive time is `idleMs`
 * past the last record. The latest window of a device is in its DeviceRow, where most events go; the others have rows of their own.
 */
import type { RowHandle } from "../state/store.ts";
import type { Output, StreamRecord } from "../topology/processor.ts";
import { DeviceRow, type DeviceRows } from "./device-row.ts";
import type { TelemetryEvent } from "./event.ts";
import type { AggregateRecord } from "./formats/records.ts";
import { IdleWindows, type WaitingWindow } from "./idle-windows.ts";
import type { WindowSettings } from "./settings.ts";
import { OpenWindows } from "./open-windows.ts";
import type { WindowRow, WindowRows } from "./window-row.ts";
import { WindowSet, type Clocks, type WindowCounters } from "./window-set.ts";

/** Stubs dropped at one record: keeps a single record's work short. */
const MAX_STUBS_PER_RECORD = 16;

export interface DeviceWindowsOptions {
  readonly settings: WindowSettings;
  /** Which of Device.windows is this one's. */
  readonly index: number;
  /** How long a stub outlives its window when its device never comes back. Receive time, ms. */
  readonly stubMs: number;
  readonly devices: DeviceRows;
  readonly rows: WindowRows;
  readonly aggregates: Output<string, AggregateRecord>;
  readonly counters: WindowCounters;
}

export class DeviceWindows extends WindowSet {
  readonly #idleMs: number;
  readonly #stubMs: number;
  readonly #index: number;
  readonly #rows: DeviceRows;
  /** Devices with windows. */
  readonly #devices = new Map<string, OpenWindows>();
  readonly #open: IdleWindows<OpenWindows>;
  readonly #stubs: IdleWindows<OpenWindows>;

  constructor({ settings, index, stubMs, devices, rows, aggregates, counters }: DeviceWindowsOptions) {
    super(settings, rows, aggregates, counters);
    this.#index = index;
    this.#idleMs = settings.idleMs;
    this.#stubMs = stubMs;
    this.#rows = devices;
    this.#open = new IdleWindows(settings.idleMs);
    this.#stubs = new IdleWindows(stubMs);
  }

  override advance(record: StreamRecord<string, TelemetryEvent>, clocks: Clocks): void {
    this.advanceIdle(clocks);
    const windows = this.#windowsOf(record);
    while (windows !== undefined && windows.count > 0 && windows.start(0) + this.finalAfterMs <= clocks.deviceTime) {
      const start = windows.start(0);
      this.#remove(windows, 0);
      this.emit(record.key, start, this.#takeOut(record.key, start));
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
      this.#begin(record, start, clocks.receiveTime);
      return true;
    }
    if (windows.isStub(index)) return false;
    windows.used(index, clocks.receiveTime);
    const device = this.#deviceOf(record);
    const latest = device.value?.latestOf(this.sizeMs);
    if (device.value !== undefined && latest?.start === start) {
      this.take(latest.row, event, clocks.receiveTime);
      this.#rows.set(device, device.value);
      return true;
    }
    const found = this.at(key, start, windows.row(index));
    windows.setRow(index, found);
    if (found.value === undefined) throw new Error(`window ${start} of "${key}" is open and has no row`);
    this.aggregate(found, found.value, event, clocks.receiveTime);
    return true;
  }

  override async index(): Promise<void> {
    await this.#rows.scanStored((key, device) => {
      const latest = device.latestOf(this.sizeMs);
      if (latest !== undefined) this.found(key, latest.start, latest.row);
    });
    await super.index();
  }

  protected override found(key: string, start: number, row: WindowRow): void {
    if ((this.#devices.get(key)?.find(start) ?? -1) < 0) this.#insert(key, start, row.lastReceiveTs, row.closed);
  }

  /**
   * The window that a record is for may be one of before that is not indexed yet, and may have gone idle since. So may the
   * latest, which a later one may put into the store, where the scan may have been already.
   */
  #findBefore(key: string, start: number, clocks: Clocks): void {
    const latest = this.#rows.get(key)?.latestOf(this.sizeMs);
    if (latest !== undefined) this.found(key, latest.start, latest.row);
    const row = latest?.start === start ? undefined : this.at(key, start).value;
    if (row !== undefined) this.found(key, start, row);
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
    const row = this.#takeOut(device.key, start);
    this.putStub(device.key, start, closedAt);
    this.emit(device.key, start, row);
  }

  #deviceOf({ key, value: { device } }: StreamRecord<string, TelemetryEvent>): RowHandle<DeviceRow> {
    const found = this.#rows.at(key, device?.row);
    if (device !== undefined) device.row = found;
    return found;
  }

  /** The first event of a window: a later one than the latest takes its place. */
  #begin(record: StreamRecord<string, TelemetryEvent>, start: number, receiveTime: number): void {
    const { key, value: event } = record;
    const { sizeMs } = this;
    const row = this.rowOf(event, receiveTime);
    const found = this.#deviceOf(record);
    const device = found.value ?? new DeviceRow(event.device?.tenant ?? "", event.device?.deviceId ?? "");
    const latest = device.latestOf(sizeMs);
    if (latest !== undefined && latest.start > start) return this.put(key, start, row);
    device.setLatest({ sizeMs, start, row });
    this.#rows.set(found, device);
    if (latest !== undefined) this.put(key, latest.start, latest.row);
  }

  /** The row of a window that closes. */
  #takeOut(key: string, start: number): WindowRow | undefined {
    const found = this.#rows.at(key, undefined);
    const latest = found.value?.latestOf(this.sizeMs);
    if (found.value !== undefined && latest?.start === start) {
      found.value.removeLatest(this.sizeMs);
      this.#rows.set(found, found.value);
      return latest.row;
    }
    const { value } = this.at(key, start);
    this.forget(key, start);
    return value;
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
