/** Windows by each device's own time: final when that passes end + grace, or when the partition's receive time is `idleMs` past the last record. */
import type { Output, StreamRecord } from "../topology/processor.ts";
import type { TelemetryEvent } from "./event.ts";
import type { AggregateRecord } from "./formats/records.ts";
import { IdleWindows, type WaitingWindow } from "./idle-windows.ts";
import type { WindowSettings } from "./settings.ts";
import type { WindowRows } from "./window-row.ts";
import { WindowSet, type Clocks, type WindowCounters } from "./window-set.ts";

/** Stubs dropped at one record: keeps a single record's work short. */
const MAX_STUBS_PER_RECORD = 16;

/** Numbers per window in DeviceEntry.windows, in this order. */
const START = 0;
/** Receive time of the window's last record; of its close for a stub. */
const SINCE = 1;
/** 1: closed idle, and kept so that later records for it are known to be late. */
const IS_STUB = 2;
const STRIDE = 3;

/** The windows of a device, earliest first, as one array of numbers: an event touches little memory. */
interface DeviceEntry {
  readonly key: string;
  readonly windows: number[];
}

export class DeviceWindows extends WindowSet {
  readonly #idleMs: number;
  /** How long a stub outlives its window when its device never comes back. Receive time. */
  readonly #stubMs: number;
  readonly #devices = new Map<string, DeviceEntry>();
  readonly #open: IdleWindows<DeviceEntry>;
  readonly #stubs: IdleWindows<DeviceEntry>;
  /** The device that advance() was last called for: add() for the same record needs no look-up. */
  #current: DeviceEntry | undefined;

  constructor(
    settings: WindowSettings,
    stubMs: number,
    rows: WindowRows,
    aggregates: Output<string, AggregateRecord>,
    counters: WindowCounters,
  ) {
    super(settings, rows, aggregates, counters);
    this.#idleMs = settings.idleMs;
    this.#stubMs = stubMs;
    this.#open = new IdleWindows(settings.idleMs);
    this.#stubs = new IdleWindows(stubMs);
  }

  override advance(key: string, clocks: Clocks): void {
    this.advanceIdle(clocks);
    const entry = this.#devices.get(key);
    this.#current = entry;
    if (entry === undefined) return;
    const { windows } = entry;
    while (windows.length > 0 && windows[START] + this.finalAfterMs <= clocks.deviceTime) {
      const start = windows[START];
      this.#remove(entry, 0);
      this.close(key, start, false, clocks.receiveTime);
    }
  }

  override advanceIdle({ receiveTime }: Clocks): void {
    for (let due = this.#open.take(receiveTime); due !== undefined; due = this.#open.take(receiveTime)) {
      const at = find(due.device, due.start);
      if (at < 0 || due.device.windows[at + IS_STUB] === 1) continue;
      due.dueAt = due.device.windows[at + SINCE] + this.#idleMs;
      if (due.dueAt > receiveTime) this.#open.put(due);
      else this.#closeIdle(due, at, receiveTime);
    }
    for (let dropped = 0; dropped < MAX_STUBS_PER_RECORD; dropped++) {
      const due = this.#stubs.take(receiveTime);
      if (due === undefined) break;
      const at = find(due.device, due.start);
      if (at < 0 || due.device.windows[at + IS_STUB] === 0) continue;
      this.#remove(due.device, at);
      this.forget(due.device.key, due.start);
    }
  }

  override closeAll(receiveTime: number): void {
    for (const waiting of this.#open.takeAll()) {
      const at = find(waiting.device, waiting.start);
      if (at >= 0 && waiting.device.windows[at + IS_STUB] === 0) this.#closeIdle(waiting, at, receiveTime);
    }
  }

  override add(record: StreamRecord<string, TelemetryEvent>, clocks: Clocks): boolean {
    const { key } = record;
    const start = this.startOf(record.value.ts);
    if (start + this.finalAfterMs <= clocks.deviceTime) return false;
    const entry = this.#current?.key === key ? this.#current : this.#devices.get(key);
    const at = entry === undefined ? -1 : find(entry, start);
    if (entry === undefined || at < 0) {
      this.#insert(key, start, clocks.receiveTime, false);
      this.aggregate(undefined, record, start, clocks.receiveTime);
      return true;
    }
    if (entry.windows[at + IS_STUB] === 1) return false;
    entry.windows[at + SINCE] = clocks.receiveTime;
    this.aggregate(this.row(key, start), record, start, clocks.receiveTime);
    return true;
  }

  protected override clear(): void {
    this.#devices.clear();
    this.#open.clear();
    this.#stubs.clear();
    this.#current = undefined;
  }

  protected override restore(key: string, start: number, closed: boolean, lastReceiveTs: number): void {
    this.#insert(key, start, lastReceiveTs, closed);
  }

  #closeIdle(waiting: WaitingWindow<DeviceEntry>, at: number, receiveTime: number): void {
    const { device, start } = waiting;
    device.windows[at + SINCE] = receiveTime;
    device.windows[at + IS_STUB] = 1;
    waiting.dueAt = receiveTime + this.#stubMs;
    this.#stubs.put(waiting);
    this.close(device.key, start, true, receiveTime);
  }

  #insert(key: string, start: number, since: number, isStub: boolean): void {
    let device = this.#devices.get(key);
    if (device === undefined) this.#devices.set(key, (device = { key, windows: [] }));
    const { windows } = device;
    let at = windows.length;
    while (at > 0 && windows[at - STRIDE + START] > start) at -= STRIDE;
    if (at === windows.length) windows.push(start, since, isStub ? 1 : 0);
    else windows.splice(at, 0, start, since, isStub ? 1 : 0);
    const dueAt = since + (isStub ? this.#stubMs : this.#idleMs);
    (isStub ? this.#stubs : this.#open).put({ device, start, dueAt });
  }

  /** What waits in a wheel finds nothing when its turn comes. */
  #remove(device: DeviceEntry, at: number): void {
    device.windows.splice(at, STRIDE);
    if (device.windows.length > 0) return;
    this.#devices.delete(device.key);
    if (this.#current === device) this.#current = undefined;
  }
}

/** From the end: most events are for the device's latest window. -1: none. */
function find({ windows }: DeviceEntry, start: number): number {
  for (let at = windows.length - STRIDE; at >= 0; at -= STRIDE) if (windows[at + START] === start) return at;
  return -1;
}
