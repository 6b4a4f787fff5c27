/**
 * Windows by each device's own time: final when that passes end + grace, or when the partition's receive time is `idleMs`
 * past the last record. Which windows a device has is in its row, with the latest, where most events go; the others have
 * rows of their own in the store.
 */
import type { RowHandle } from "../state/store.ts";
import type { Output, StreamRecord } from "../topology/processor.ts";
import { DeviceRow, type DeviceRows } from "./device-row.ts";
import { DueKeys, type DueKey } from "./due-keys.ts";
import type { TelemetryEvent } from "./event.ts";
import type { AggregateRecord } from "./formats/records.ts";
import { OpenWindows } from "./open-windows.ts";
import type { WindowSettings } from "./settings.ts";
import type { WindowRow, WindowRows } from "./window-row.ts";
import { WindowSet, type Clocks, type WindowCounters } from "./window-set.ts";

export interface DeviceWindowsOptions {
  readonly settings: WindowSettings;
  readonly devices: DeviceRows;
  readonly rows: WindowRows;
  readonly aggregates: Output<string, AggregateRecord>;
  readonly counters: WindowCounters;
}

export class DeviceWindows extends WindowSet {
  readonly #idleMs: number;
  readonly #devices: DeviceRows;
  /** Devices with open windows, each once for each time that its `dueAt` was set to; only the latest of these counts. */
  readonly #due: DueKeys;

  constructor({ settings, devices, rows, aggregates, counters }: DeviceWindowsOptions) {
    super(settings, rows, aggregates, counters);
    this.#idleMs = settings.idleMs;
    this.#devices = devices;
    this.#due = new DueKeys(settings.idleMs, (key) => devices.prefetch(key));
  }

  /** A device of before. */
  found(key: string, device: DeviceRow): void {
    const windows = device.windowsOf(this.sizeMs);
    if (windows !== undefined && windows.dueAt > 0) this.#due.put(key, windows.dueAt);
  }

  /** Also what the record's device has had idle and is not indexed yet. */
  override advance(record: StreamRecord<string, TelemetryEvent>, clocks: Clocks): void {
    this.advanceIdle(clocks);
    const found = this.#deviceOf(record);
    const windows = found.value?.windowsOf(this.sizeMs);
    if (found.value === undefined || windows === undefined) return;
    const { key } = record;
    if (windows.dueAt > 0 && windows.dueAt <= clocks.receiveTime) this.#closeIdle(key, found, windows, clocks.receiveTime);
    while (windows.count > 0 && windows.start(0) + this.finalAfterMs <= clocks.deviceTime) {
      const start = windows.start(0);
      const row = windows.isStub(0) ? undefined : this.#takeStored(key, start);
      windows.remove(0);
      this.#devices.set(found, found.value);
      this.emit(key, start, row);
    }
    if (windows.latestStart + this.finalAfterMs > clocks.deviceTime || windows.latest === undefined) return;
    const { latest, latestStart } = windows;
    windows.removeLatest();
    this.#devices.set(found, found.value);
    this.emit(key, latestStart, latest);
  }

  override advanceIdle({ receiveTime }: Clocks): void {
    for (let due = this.#due.take(receiveTime); due !== undefined; due = this.#due.take(receiveTime)) this.#check(due, receiveTime);
  }

  /** What is not indexed yet closes at a later call. */
  override closeAll(): void {
    for (const due of this.#due.takeAll()) this.#check(due, Infinity);
  }

  override add(record: StreamRecord<string, TelemetryEvent>, clocks: Clocks): boolean {
    const { key, value: event } = record;
    const { receiveTime } = clocks;
    const start = this.startOf(event.ts);
    if (start + this.finalAfterMs <= clocks.deviceTime) return false;
    const found = this.#deviceOf(record);
    const device = found.value ?? new DeviceRow(event.device?.tenant ?? "", event.device?.deviceId ?? "");
    const windows = device.windowsOf(this.sizeMs) ?? device.addWindows(new OpenWindows(this.sizeMs));
    if (windows.latest !== undefined && windows.latestStart === start) this.take(windows.latest, event, receiveTime);
    else {
      const index = windows.find(start);
      if (index < 0) this.#begin(key, windows, start, this.rowOf(event, receiveTime));
      else if (windows.isStub(index)) return false;
      else {
        windows.used(index, receiveTime);
        const stored = this.at(key, start);
        if (stored.value === undefined) throw new Error(`window ${start} of "${key}" is open and has no row`);
        this.aggregate(stored, stored.value, event, receiveTime);
      }
    }
    this.#devices.set(found, device);
    return true;
  }

  #deviceOf({ key, value: { device } }: StreamRecord<string, TelemetryEvent>): RowHandle<DeviceRow> {
    const found = this.#devices.at(key, device?.row);
    if (device !== undefined) device.row = found;
    return found;
  }

  /** A window that is later than the latest takes its place. */
  #begin(key: string, windows: OpenWindows, start: number, row: WindowRow): void {
    const { latest, latestStart } = windows;
    if (windows.dueAt === 0) this.#wait(key, windows, row.lastReceiveTs + this.#idleMs);
    if (latest !== undefined && latestStart > start) {
      windows.insert(start, row.lastReceiveTs, false);
      this.put(key, start, row);
      return;
    }
    windows.setLatest(start, row);
    if (latest === undefined) return;
    windows.insert(latestStart, latest.lastReceiveTs, false);
    this.put(key, latestStart, latest);
  }

  /** A time that a device has moved on from says nothing. */
  #check({ key, dueAt }: DueKey, now: number): void {
    const found = this.#devices.at(key, undefined);
    const windows = found.value?.windowsOf(this.sizeMs);
    if (windows?.dueAt === dueAt) this.#closeIdle(key, found, windows, now);
  }

  #wait(key: string, windows: OpenWindows, dueAt: number): void {
    windows.dueAt = dueAt;
    if (dueAt > 0) this.#due.put(key, dueAt);
  }

  /** Closes what has been idle at `now`; stubs stay, to tell late records, until device time passes them or the device expires. */
  #closeIdle(key: string, found: RowHandle<DeviceRow>, windows: OpenWindows, now: number): void {
    const closed: { start: number; row: WindowRow | undefined }[] = [];
    let nextDueAt = Infinity;
    for (let index = 0; index < windows.count; index++) {
      if (windows.isStub(index)) continue;
      const dueAt = windows.since(index) + this.#idleMs;
      if (dueAt > now) nextDueAt = Math.min(nextDueAt, dueAt);
      else {
        const start = windows.start(index);
        windows.becomeStub(index);
        closed.push({ start, row: this.#takeStored(key, start) });
      }
    }
    const { latest, latestStart } = windows;
    if (latest !== undefined) {
      const dueAt = latest.lastReceiveTs + this.#idleMs;
      if (dueAt > now) nextDueAt = Math.min(nextDueAt, dueAt);
      else {
        windows.insert(latestStart, latest.lastReceiveTs, true);
        windows.removeLatest();
        closed.push({ start: latestStart, row: latest });
      }
    }
    this.#wait(key, windows, nextDueAt === Infinity ? 0 : nextDueAt);
    if (found.value !== undefined) this.#devices.set(found, found.value);
    for (const { start, row } of closed) this.emit(key, start, row);
  }

  #takeStored(key: string, start: number): WindowRow | undefined {
    const { value } = this.at(key, start);
    this.forget(key, start);
    return value;
  }
}
