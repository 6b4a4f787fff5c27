/** The windows of one device by one definition: the latest with its row, and which others there are, whose rows are in the definition's store. */
import type { ByteReader } from "../state/byte-reader.ts";
import type { ByteWriter } from "../state/byte-writer.ts";
import { readWindow, writeWindow, type WindowRow } from "./window-row.ts";

/** Numbers per window in `#others`, in this order. */
const START = 0;
const SINCE = 1;
const IS_STUB = 2;
const STRIDE = 3;

export class OpenWindows {
  /** Names the definition: no two have one size. */
  readonly sizeMs: number;
  /** Receive time at which one of them may have gone idle, at the earliest; 0 when none is open. Epoch ms. */
  dueAt = 0;
  /** Of the latest window, later than all others that are open. NaN when there is none. Epoch ms. */
  latestStart = NaN;
  latest: WindowRow | undefined = undefined;
  /** By start. One array of as many numbers as there must be: most devices of a large fleet only wait. */
  #others: number[] = [];

  constructor(sizeMs: number) {
    this.sizeMs = sizeMs;
  }

  /** Of those that are not the latest. */
  get count(): number {
    return this.#others.length / STRIDE;
  }

  start(index: number): number {
    return this.#others[index * STRIDE + START];
  }

  /** Receive time of the window's last record. */
  since(index: number): number {
    return this.#others[index * STRIDE + SINCE];
  }

  /** Closed idle, and kept without a row so that later records for it are known to be late. */
  isStub(index: number): boolean {
    return this.#others[index * STRIDE + IS_STUB] === 1;
  }

  /** Among those that are not the latest; -1: none. */
  find(start: number): number {
    const others = this.#others;
    for (let at = others.length - STRIDE; at >= 0; at -= STRIDE) if (others[at + START] === start) return at / STRIDE;
    return -1;
  }

  insert(start: number, since: number, isStub: boolean): void {
    const others = this.#others;
    let at = others.length;
    while (at > 0 && others[at - STRIDE + START] > start) at -= STRIDE;
    const added = [start, since, isStub ? 1 : 0];
    this.#others = others.length === 0 ? added : others.slice(0, at).concat(added, others.slice(at));
  }

  used(index: number, since: number): void {
    this.#others[index * STRIDE + SINCE] = since;
  }

  becomeStub(index: number): void {
    this.#others[index * STRIDE + IS_STUB] = 1;
  }

  remove(index: number): void {
    this.#others.splice(index * STRIDE, STRIDE);
  }

  setLatest(start: number, row: WindowRow): void {
    this.latestStart = start;
    this.latest = row;
  }

  removeLatest(): void {
    this.latestStart = NaN;
    this.latest = undefined;
  }

  forgetStubs(): void {
    for (let index = this.count - 1; index >= 0; index--) if (this.isStub(index)) this.remove(index);
  }
}

const HAS_LATEST = 1;
/** The latest window's metrics are those that the reader knows. */
const KNOWN_NAMES = 2;

/** `known`: names of metrics that whoever reads this will have. */
export function writeOpenWindows(windows: OpenWindows, known: readonly string[] | undefined, out: ByteWriter): void {
  const { latest, latestStart, count } = windows;
  const isKnown = latest !== undefined && latest.names === known;
  out.varint(windows.sizeMs);
  out.u8((latest === undefined ? 0 : HAS_LATEST) | (isKnown ? KNOWN_NAMES : 0));
  out.svarint(windows.dueAt);
  if (latest !== undefined) {
    out.svarint(latestStart);
    writeWindow(latest, out, !isKnown);
  }
  out.varint(count);
  for (let i = 0; i < count; i++) {
    out.svarint(windows.start(i));
    out.svarint(windows.since(i));
    out.u8(windows.isStub(i) ? 1 : 0);
  }
}

export function readOpenWindows(reader: ByteReader, known: readonly string[] | undefined): OpenWindows {
  const windows = new OpenWindows(reader.varint());
  const flags = reader.u8();
  windows.dueAt = reader.svarint();
  if ((flags & HAS_LATEST) !== 0) {
    const start = reader.svarint();
    windows.setLatest(start, readWindow(reader, (flags & KNOWN_NAMES) === 0 ? undefined : known));
  }
  for (let count = reader.varint(); count > 0; count--) {
    const start = reader.svarint();
    const since = reader.svarint();
    windows.insert(start, since, reader.u8() === 1);
  }
  return windows;
}
