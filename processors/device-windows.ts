/**
 * Windows by each device's own time: final when that passes end + grace, or when the partition's receive time is `idleMs`
 * past the last record. Which windows a device has is in its row, with the latest, where most events go; the others have
 * rows of their own in the store, one a slot (open-windows.ts).
 */
import type { RowHandle } from "../state/store.ts";
import type { Output, StreamRecord } from "../topology/processor.ts";
import { DeviceRow, type DeviceRows } from "./device-row.ts";
import { DueKeys, type DueKey } from "./due-keys.ts";
import type { TelemetryEvent } from "./event.ts";
import type { AggregateRecord } from "./formats/records.ts";
import { BY_START, OpenWindows, STUB } from "./open-windows.ts";
import type { WindowSettings } from "./settings.ts";
import type { WindowRow, WindowRows } from "./window-row.ts";
import { placeByStart, WindowSet, type Clocks, type WindowCounters } from "./window-set.ts";

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
  /** The row that last became spare, and whose: most often the next window to be stored takes it. */
  #spareRow: RowHandle<WindowRow> | undefined;
  #spareKey = "";

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
    const { deviceTime } = clocks;
    while (windows.count > 0 && windows.start(0) + this.finalAfterMs <= deviceTime) {
      const start = windows.start(0);
      const row = this.#takeStored(key, windows, 0);
      windows.remove(0);
      this.#devices.set(found, found.value);
      if (row !== undefined) this.emit(key, found.value, start, row);
    }
    const { latest, latestStart } = windows;
    if (latest !== undefined && latestStart + this.finalAfterMs <= deviceTime) {
      windows.removeLatest();
      this.#devices.set(found, found.value);
      this.emit(key, found.value, latestStart, latest);
      this.recycle(latest);
    }
    if (windows.latest === undefined) this.#dropSpare(key, windows);
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
        const stored = this.rows.at(key, placeOf(windows, index), undefined);
        const row = rowOfWindow(stored, windows, index);
        if (row === undefined) this.#restart(stored, start, event, receiveTime);
        else this.aggregate(stored, row, event, receiveTime);
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
      this.#store(key, windows, start, row);
      return;
    }
    windows.setLatest(start, row);
    if (latest !== undefined) this.#store(key, windows, latestStart, latest);
  }

  /** Into the slot of a window that closed, where there is one. */
  #store(key: string, windows: OpenWindows, start: number, row: WindowRow): void {
    const { spareSlot } = windows;
    const slot = spareSlot < 0 ? windows.unusedSlot() : spareSlot;
    const known = spareSlot >= 0 && this.#spareKey === key ? this.#spareRow : undefined;
    windows.spareSlot = -1;
    windows.insert(start, row.lastReceiveTs, slot);
    row.start = start;
    if (known === undefined) return this.rows.put(key, slot, row);
    const closed = known.value;
    this.rows.set(known, row);
    this.#spareRow = undefined;
    if (closed !== undefined) this.recycle(closed);
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
    const { value: device } = found;
    if (device === undefined) return;
    const closed: { start: number; row: WindowRow }[] = [];
    let nextDueAt = Infinity;
    for (let index = 0; index < windows.count; index++) {
      if (windows.isStub(index)) continue;
      const dueAt = windows.since(index) + this.#idleMs;
      if (dueAt > now) nextDueAt = Math.min(nextDueAt, dueAt);
      else {
        const row = this.#takeStored(key, windows, index);
        windows.becomeStub(index);
        if (row !== undefined) closed.push({ start: windows.start(index), row });
      }
    }
    const { latest, latestStart } = windows;
    if (latest !== undefined) {
      const dueAt = latest.lastReceiveTs + this.#idleMs;
      if (dueAt > now) nextDueAt = Math.min(nextDueAt, dueAt);
      else {
        windows.insert(latestStart, latest.lastReceiveTs, STUB);
        windows.removeLatest();
        closed.push({ start: latestStart, row: latest });
      }
    }
    this.#wait(key, windows, nextDueAt === Infinity ? 0 : nextDueAt);
    this.#devices.set(found, device);
    for (const { start, row } of closed) this.emit(key, device, start, row);
    if (windows.latest === undefined) this.#dropSpare(key, windows);
  }

  /** The row of a window that closes. Its slot is spare from then on, or it is deleted. */
  #takeStored(key: string, windows: OpenWindows, index: number): WindowRow | undefined {
    const slot = windows.slot(index);
    if (slot === STUB) return undefined;
    const place = placeOf(windows, index);
    const stored = this.rows.at(key, place, undefined);
    const row = rowOfWindow(stored, windows, index);
    if (row === undefined) this.counters.lost++;
    if (slot === BY_START || windows.spareSlot >= 0) this.rows.delete(key, place);
    else {
      windows.spareSlot = slot;
      this.#spareRow = stored;
      this.#spareKey = key;
    }
    return row;
  }

  /** Its row is not there: see WindowRow.start. What comes now is aggregated all the same. */
  #restart(stored: RowHandle<WindowRow>, start: number, event: TelemetryEvent, receiveTime: number): void {
    this.counters.lost++;
    const row = this.rowOf(event, receiveTime);
    row.start = start;
    this.rows.set(stored, row);
  }

  #dropSpare(key: string, windows: OpenWindows): void {
    if (windows.spareSlot < 0) return;
    this.rows.delete(key, windows.spareSlot);
    windows.spareSlot = -1;
  }
}

/** Undefined when there is none, or one of the slot's window of before. */
function rowOfWindow({ value }: RowHandle<WindowRow>, windows: OpenWindows, index: number): WindowRow | undefined {
  return value === undefined || windows.slot(index) === BY_START || value.start === windows.start(index) ? value : undefined;
}

/** In the list of the key's rows. */
function placeOf(windows: OpenWindows, index: number): number {
  const slot = windows.slot(index);
  return slot === BY_START ? placeByStart(windows.start(index)) : slot;
}
