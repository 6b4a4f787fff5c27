/** What the two kinds of time share: the rows of one window definition, and how one is closed. */
import type { RowHandle } from "../state/store.ts";
import type { Output, StreamRecord } from "../topology/processor.ts";
import type { TelemetryEvent } from "./event.ts";
import type { AggregateRecord } from "./formats/records.ts";
import type { WindowSettings } from "./settings.ts";
import { MAX_TIME_MS } from "./timestamp.ts";
import { WindowRow, type WindowRows } from "./window-row.ts";

/** A store takes no negative starts, and clocks before 1970 exist: what is added to a start in the row's key. ms. */
const STORED_START_OFFSET = 2 * MAX_TIME_MS;

/** Where in its key's list the row of a window is that is kept by its start; above all slots (open-windows.ts). */
export function placeByStart(start: number): number {
  return start + STORED_START_OFFSET;
}

/** Rows; windows close one by one, shortly before others begin. */
const MAX_SPARE_ROWS = 256;

/** The clocks at a record, itself counted in. Epoch ms. */
export interface Clocks {
  /** Of the record's device. */
  deviceTime: number;
  streamTime: number;
  receiveTime: number;
}

export interface WindowCounters {
  /** Metrics that found no place in the row. */
  dropped: number;
  /** Windows whose rows a crash took (at least once only). */
  lost: number;
}

export interface DeviceIds {
  readonly tenant: string;
  readonly deviceId: string;
}

export abstract class WindowSet {
  protected readonly sizeMs: number;
  /** From a window's start to the time at which it is final. */
  protected readonly finalAfterMs: number;
  protected readonly rows: WindowRows;
  readonly #aggregates: Output<string, AggregateRecord>;
  protected readonly counters: WindowCounters;
  /** Of windows that are closed, for those that begin: a row lives long enough for the old generation of V8's heap, whose collections are dear. */
  readonly #spare: WindowRow[] = [];

  constructor(settings: WindowSettings, rows: WindowRows, aggregates: Output<string, AggregateRecord>, counters: WindowCounters) {
    this.sizeMs = settings.sizeMs;
    this.finalAfterMs = settings.sizeMs + settings.graceMs;
    this.rows = rows;
    this.#aggregates = aggregates;
    this.counters = counters;
  }

  /** Finds what only the store of rows knows of the windows of before. */
  async index(): Promise<void> {}

  /** An event of this device is going to come, whose DeviceRow is being read. */
  readAhead(_key: string): void {}

  /** Closes what is due before the record is looked at. */
  abstract advance(record: StreamRecord<string, TelemetryEvent>, clocks: Clocks): void;

  /** Closes what is due by the clocks of the partition alone. */
  abstract advanceIdle(clocks: Clocks): void;

  /** Closes everything that is open (wall-clock bound). */
  abstract closeAll(receiveTime: number): void;

  /** Aggregates the event; false when its window is final: the record is late. */
  abstract add(record: StreamRecord<string, TelemetryEvent>, clocks: Clocks): boolean;

  protected startOf(ts: number): number {
    return Math.floor(ts / this.sizeMs) * this.sizeMs;
  }

  /** The first event of a window. */
  protected rowOf(event: TelemetryEvent, receiveTime: number): WindowRow {
    const { names } = event.metrics;
    const spare = this.#spare.pop();
    const row = spare?.restart(names, receiveTime) === true ? spare : new WindowRow(names, receiveTime);
    this.take(row, event, receiveTime);
    return row;
  }

  protected aggregate(found: RowHandle<WindowRow>, row: WindowRow, event: TelemetryEvent, receiveTime: number): void {
    this.take(row, event, receiveTime);
    this.rows.set(found, row);
  }

  protected take(row: WindowRow, event: TelemetryEvent, receiveTime: number): void {
    row.lastReceiveTs = receiveTime;
    this.counters.dropped += row.add(event.metrics.names, event.values, event.ts);
  }

  protected emit(key: string, { tenant, deviceId }: DeviceIds, start: number, row: WindowRow): void {
    if (row.closed) return;
    const end = start + this.sizeMs;
    const value: AggregateRecord = {
      v: 1,
      tenant,
      deviceId,
      window: { type: "tumbling", start, end },
      final: true,
      metrics: row.aggregates(),
    };
    this.#aggregates.forward({ key, value, timestamp: Math.max(0, end) });
  }

  /** The row must be nobody's any more: it becomes that of another window. */
  protected recycle(row: WindowRow): void {
    if (this.#spare.length < MAX_SPARE_ROWS) this.#spare.push(row);
  }
}
