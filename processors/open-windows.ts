/** The windows of one device by one definition: the latest with its row, and which others there are, whose rows are in the definition's store. */
import type { ByteReader } from "../state/byte-reader.ts";
import type { ByteWriter } from "../state/byte-writer.ts";
import { readWindow, writeWindow, type WindowRow } from "./window-row.ts";

/** Places in the numbers of a device's windows. */
const DUE_AT = 0;
const LATEST_START = 1;
const FIRST_OTHER = 2;
/** Of each other window, in this order; by start. */
const START = 0;
const SINCE = 1;
const IS_STUB = 2;
const STRIDE = 3;

export class OpenWindows {
  /** Names the definition: no two have one size. */
  readonly sizeMs: number;
  latest: WindowRow | undefined = undefined;
  #count = 0;
  /**
   * One array of unboxed numbers (it begins with a fraction for that), as long as it ever had to be: most devices of a large fleet only wait,
   * and the others have as many windows now as a moment ago.
   */
  #numbers: number[] = [0.5, NaN];

  constructor(sizeMs: number) {
    this.sizeMs = sizeMs;
    this.dueAt = 0;
  }

  /** Of those that are not the latest. */
  get count(): number {
    return this.#count;
  }

  /** Receive time at which one of them may have gone idle, at the earliest; 0 when none is open. Epoch ms. */
  get dueAt(): number {
    return this.#numbers[DUE_AT];
  }

  set dueAt(receiveTime: number) {
    this.#numbers[DUE_AT] = receiveTime;
  }

  /** Of the latest window, later than all others that are open. NaN when there is none. Epoch ms. */
  get latestStart(): number {
    return this.#numbers[LATEST_START];
  }

  start(index: number): number {
    return this.#numbers[FIRST_OTHER + index * STRIDE + START];
  }

  /** Receive time of the window's last record. */
  since(index: number): number {
    return this.#numbers[FIRST_OTHER + index * STRIDE + SINCE];
  }

  /** Closed idle, and kept without a row so that later records for it are known to be late. */
  isStub(index: number): boolean {
    return this.#numbers[FIRST_OTHER + index * STRIDE + IS_STUB] === 1;
  }

  /** Among those that are not the latest; -1: none. */
  find(start: number): number {
    for (let index = this.count - 1; index >= 0; index--) if (this.start(index) === start) return index;
    return -1;
  }

  insert(start: number, since: number, isStub: boolean): void {
    const end = FIRST_OTHER + this.count * STRIDE;
    // concat() makes an array without room to spare
    if (end === this.#numbers.length) this.#numbers = this.#numbers.concat([start, since, 0]);
    const numbers = this.#numbers;
    let at = end;
    for (; at > FIRST_OTHER && numbers[at - STRIDE + START] > start; at -= STRIDE)
      for (let i = at - STRIDE; i < at; i++) numbers[i + STRIDE] = numbers[i];
    numbers[at + START] = start;
    numbers[at + SINCE] = since;
    numbers[at + IS_STUB] = isStub ? 1 : 0;
    this.#count++;
  }

  used(index: number, since: number): void {
    this.#numbers[FIRST_OTHER + index * STRIDE + SINCE] = since;
  }

  becomeStub(index: number): void {
    this.#numbers[FIRST_OTHER + index * STRIDE + IS_STUB] = 1;
  }

  remove(index: number): void {
    const numbers = this.#numbers;
    const end = FIRST_OTHER + this.count * STRIDE;
    for (let at = FIRST_OTHER + (index + 1) * STRIDE; at < end; at++) numbers[at - STRIDE] = numbers[at];
    this.#count--;
  }

  setLatest(start: number, row: WindowRow): void {
    this.#numbers[LATEST_START] = start;
    this.latest = row;
  }

  removeLatest(): void {
    this.#numbers[LATEST_START] = NaN;
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
