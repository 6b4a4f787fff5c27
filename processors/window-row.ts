/** The aggregate of one device and window while it is open. */
import { ByteReader } from "../state/byte-reader.ts";
import type { ByteWriter } from "../state/byte-writer.ts";
import { checkRowVersion } from "../state/row-format.ts";
import type { Serde } from "../state/serde.ts";
import { serdes } from "../state/serdes.ts";
import { windowStore, type StoreSpec, type WindowStore } from "../state/store.ts";
import type { MetricAggregate } from "./formats/records.ts";
import type { WindowSettings } from "./settings.ts";

/** Metrics of one window: bounds the row. What is above is dropped and counted. */
const MAX_METRICS = 512;

/** Places in WindowRow.stats: lastReceiveTs and start, then so many numbers per metric, in this order. */
const LAST_RECEIVE_TS = 0;
const START = 1;
const FIRST_METRIC = 2;
const COUNT = 0;
const SUM = 1;
const MIN = 2;
const MAX = 3;
/** Running mean and sum of squared distances from it: Welford's method, stable where sums of squares cancel. */
const MEAN = 4;
const SQUARES = 5;
const FIRST = 6;
const FIRST_TS = 7;
const LAST = 8;
const LAST_TS = 9;
const STRIDE = 10;

/** Memory comes in lines of 64 bytes. */
const NUMBERS_PER_LINE = 8;

export class WindowRow {
  /** One array of unboxed numbers (it begins with a fraction for that): at many devices, what an event costs is the memory it touches. */
  readonly stats: number[];
  /** Shared between rows: replaced, never changed. */
  names: readonly string[];
  /** Emitted, and kept so that later records for the window are known to be late. Holds no metrics then. */
  closed = false;

  constructor(names: readonly string[], lastReceiveTs: number) {
    this.names = names;
    this.stats = blankStats(names.length);
    this.lastReceiveTs = lastReceiveTs;
  }

  /** Begins another window with the memory of this one; false, and nothing done, when that has other metrics. */
  restart(names: readonly string[], lastReceiveTs: number): boolean {
    if (this.names !== names || this.closed) return false;
    const { stats } = this;
    for (let at = 0; at < stats.length; at++) stats[at] = 0;
    this.lastReceiveTs = lastReceiveTs;
    return true;
  }

  /** Receive time of the partition at the window's last record. Epoch ms. */
  get lastReceiveTs(): number {
    return this.stats[LAST_RECEIVE_TS];
  }

  set lastReceiveTs(receiveTime: number) {
    this.stats[LAST_RECEIVE_TS] = receiveTime;
  }

  /**
   * Of the window whose row this is in a slot (open-windows.ts); 0 for others, NaN when an older version wrote it. At least once, what a
   * crash left of a commit may be the device's row without its windows' rows, and a row of the slot's window of before says so by this.
   */
  get start(): number {
    return this.stats[START];
  }

  set start(start: number) {
    this.stats[START] = start;
  }

  /** Reads a number from each stretch of memory that the stats take. */
  touch(): number {
    const { stats } = this;
    let sum = 0;
    for (let at = 0; at < stats.length; at += NUMBERS_PER_LINE) sum += stats[at];
    return sum;
  }

  /** Returns how many metrics found no place. */
  add(names: readonly string[], values: readonly number[], ts: number): number {
    if (this.names !== names && !this.#adopt(names)) return this.#addByName(names, values, ts);
    for (let i = 0; i < values.length; i++) this.#update(FIRST_METRIC + i * STRIDE, values[i], ts);
    return 0;
  }

  aggregates(): Record<string, MetricAggregate> {
    const metrics: Record<string, MetricAggregate> = {};
    const { stats } = this;
    for (let i = 0; i < this.names.length; i++) {
      const at = FIRST_METRIC + i * STRIDE;
      const count = stats[at + COUNT];
      if (count === 0) continue;
      const sum = stats[at + SUM];
      metrics[this.names[i]] = {
        count,
        sum: finite(sum),
        min: stats[at + MIN],
        max: stats[at + MAX],
        mean: finite(Number.isFinite(sum) ? sum / count : stats[at + MEAN]),
        variance: finite(Math.max(0, stats[at + SQUARES] / count)),
        first: stats[at + FIRST],
        last: stats[at + LAST],
      };
    }
    return metrics;
  }

  /** The same names in another array (after a restart, say): take that one, so that the next look is a comparison of references. */
  #adopt(names: readonly string[]): boolean {
    if (names.length !== this.names.length) return false;
    for (let i = 0; i < names.length; i++) if (names[i] !== this.names[i]) return false;
    this.names = names;
    return true;
  }

  #addByName(names: readonly string[], values: readonly number[], ts: number): number {
    let dropped = 0;
    for (let i = 0; i < values.length; i++) {
      let index = this.names.indexOf(names[i]);
      if (index < 0) {
        if (this.names.length >= MAX_METRICS) {
          dropped++;
          continue;
        }
        index = this.names.length;
        this.names = [...this.names, names[i]];
        this.#extend();
      }
      this.#update(FIRST_METRIC + index * STRIDE, values[i], ts);
    }
    return dropped;
  }

  #extend(): void {
    while (this.stats.length < FIRST_METRIC + this.names.length * STRIDE) this.stats.push(0);
  }

  #update(at: number, value: number, ts: number): void {
    const { stats } = this;
    const count = stats[at + COUNT] + 1;
    stats[at + COUNT] = count;
    if (count === 1) {
      stats[at + SUM] = stats[at + MIN] = stats[at + MAX] = stats[at + MEAN] = stats[at + FIRST] = stats[at + LAST] = value;
      stats[at + FIRST_TS] = stats[at + LAST_TS] = ts;
      return;
    }
    stats[at + SUM] += value;
    if (value < stats[at + MIN]) stats[at + MIN] = value;
    if (value > stats[at + MAX]) stats[at + MAX] = value;
    const distance = value - stats[at + MEAN];
    stats[at + MEAN] += distance / count;
    stats[at + SQUARES] += distance * (value - stats[at + MEAN]);
    if (ts < stats[at + FIRST_TS]) {
      stats[at + FIRST] = value;
      stats[at + FIRST_TS] = ts;
    }
    if (ts >= stats[at + LAST_TS]) {
      stats[at + LAST] = value;
      stats[at + LAST_TS] = ts;
    }
  }
}

/** Sums of huge finite values overflow; JSON has no infinity, so the greatest number stands for it. */
function finite(value: number): number {
  if (value - value === 0) return value;
  return value === -Infinity ? -Number.MAX_VALUE : Number.MAX_VALUE;
}

/** By number of metrics, MAX_METRICS at most: stats of nothing yet. A slice of one is an array without room to spare. */
const BLANK_STATS: (number[] | undefined)[] = [];

function blankStats(metrics: number): number[] {
  let blank = BLANK_STATS[metrics];
  if (blank === undefined) {
    blank = BLANK_STATS[metrics] = [0.5];
    while (blank.length < FIRST_METRIC + metrics * STRIDE) blank.push(0);
  }
  return blank.slice();
}

/** Version 1 was without the start; version 2 had times and numbers in full. */
const VERSION = 3;
const FIRST_WITH_START = 2;
const FIRST_SHORT = 3;
const CLOSED = 1;
const reader = new ByteReader();

const windowRowSerde: Serde<WindowRow> = {
  name: "window-row",
  write(row, out) {
    out.u8(VERSION);
    out.startTimes();
    out.time(row.start);
    writeWindow(row, out);
  },
  read(bytes, start, end) {
    reader.reset(bytes, start, end);
    const version = reader.u8();
    checkRowVersion(version, VERSION, "window row");
    reader.inFull = version < FIRST_SHORT;
    const windowStart = version < FIRST_WITH_START ? NaN : reader.time();
    const row = readWindow(reader);
    row.start = windowStart;
    reader.expectEnd();
    return row;
  },
};

/** Without names: the reader must know them. */
export function writeWindow(row: WindowRow, out: ByteWriter, withNames = true): void {
  out.u8(row.closed ? CLOSED : 0);
  out.time(row.lastReceiveTs);
  out.varint(row.names.length);
  const { stats } = row;
  for (let i = 0; i < row.names.length; i++) {
    const at = FIRST_METRIC + i * STRIDE;
    if (withNames) out.string(row.names[i]);
    const count = stats[at + COUNT];
    out.varint(count);
    if (count !== 1) {
      out.number(stats[at + SUM]);
      out.number(stats[at + MIN]);
      out.number(stats[at + MAX]);
      out.f64(stats[at + MEAN]);
      out.f64(stats[at + SQUARES]);
      out.number(stats[at + FIRST]);
    }
    out.number(stats[at + LAST]);
    if (count !== 1) out.time(stats[at + FIRST_TS]);
    out.time(stats[at + LAST_TS]);
  }
}

/** `known`: the names of a window that was written without. */
export function readWindow(from: ByteReader, known?: readonly string[]): WindowRow {
  const closed = (from.u8() & CLOSED) !== 0;
  const row = new WindowRow([], from.time());
  row.closed = closed;
  const names: string[] = [];
  const { stats } = row;
  for (let count = from.varint(); count > 0; count--) {
    if (known === undefined) names.push(from.string());
    readMetric(from, stats);
  }
  row.names = known ?? names;
  return row;
}

/** Of one reading all is that reading, which is what is written. */
function readMetric(from: ByteReader, stats: number[]): void {
  const count = from.varint();
  if (count === 1 && !from.inFull) {
    const value = from.number();
    const ts = from.time();
    stats.push(count, value, value, value, value, 0, value, ts, value, ts);
    return;
  }
  stats.push(count, from.number(), from.number(), from.number(), from.f64(), from.f64(), from.number());
  const last = from.number();
  stats.push(from.time(), last, from.time());
}

export type WindowRows = WindowStore<string, WindowRow>;

/** Keyed by device and window start, the latter with WindowSet's offset. */
export function windowRowStore(window: WindowSettings): StoreSpec<WindowRows> {
  return windowStore<string, WindowRow>({ name: `windows-${window.time}-${window.sizeMs}`, key: serdes.string, value: windowRowSerde });
}
