/**
 * The windows of one device by one definition: the latest with its row, and which others there are, whose rows are in the definition's
 * store. A row there has one of the device's slots, 0 and up, and the window that begins next takes the slot of one that closed: a put a
 * window, where a key by its start would take a tombstone as well, and an entry of the cache that stays.
 */
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
const SLOT = 2;
const STRIDE = 3;

/** In place of a slot: closed idle, and kept without a row so that later records for it are known to be late. */
export const STUB = -1;
/** In place of a slot: the row's key has the window's start, as all had before version 3 of the device's row. */
export const BY_START = -2;

const NO_SLOT = -1;

export class OpenWindows {
  /** Names the definition: no two have one size. */
  readonly sizeMs: number;
  latest: WindowRow | undefined = undefined;
  /** A slot whose row is of a window that closed; -1 for none. There is one only while there is a latest window, which will take it. */
  spareSlot = NO_SLOT;
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

  /** Of its row, or STUB, or BY_START. */
  slot(index: number): number {
    return this.#numbers[FIRST_OTHER + index * STRIDE + SLOT];
  }

  isStub(index: number): boolean {
    return this.slot(index) === STUB;
  }

  /** The lowest slot that no row has; only while there is no spare one. */
  unusedSlot(): number {
    let slot = 0;
    while (this.#hasSlot(slot)) slot++;
    return slot;
  }

  /** Among those that are not the latest; -1: none. */
  find(start: number): number {
    for (let index = this.count - 1; index >= 0; index--) if (this.start(index) === start) return index;
    return -1;
  }

  insert(start: number, since: number, slot: number): void {
    const end = FIRST_OTHER + this.count * STRIDE;
    // concat() makes an array without room to spare
    if (end === this.#numbers.length) this.#numbers = this.#numbers.concat([start, since, 0]);
    const numbers = this.#numbers;
    let at = end;
    for (; at > FIRST_OTHER && numbers[at - STRIDE + START] > start; at -= STRIDE)
      for (let i = at - STRIDE; i < at; i++) numbers[i + STRIDE] = numbers[i];
    numbers[at + START] = start;
    numbers[at + SINCE] = since;
    numbers[at + SLOT] = slot;
    this.#count++;
  }

  used(index: number, since: number): void {
    this.#numbers[FIRST_OTHER + index * STRIDE + SINCE] = since;
  }

  becomeStub(index: number): void {
    this.#numbers[FIRST_OTHER + index * STRIDE + SLOT] = STUB;
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

  #hasSlot(slot: number): boolean {
    for (let index = 0; index < this.count; index++) if (this.slot(index) === slot) return true;
    return false;
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
  out.time(windows.dueAt);
  if (latest !== undefined) {
    out.time(latestStart);
    writeWindow(latest, out, !isKnown);
  }
  out.varint(count);
  for (let i = 0; i < count; i++) {
    out.time(windows.start(i));
    out.time(windows.since(i));
    out.varint(windows.slot(i) - BY_START);
  }
  out.varint(windows.spareSlot - NO_SLOT);
}

/** `hasSlots`: from version 3 of the device's row on. */
export function readOpenWindows(reader: ByteReader, known: readonly string[] | undefined, hasSlots: boolean): OpenWindows {
  const windows = new OpenWindows(reader.varint());
  const flags = reader.u8();
  windows.dueAt = reader.time();
  if ((flags & HAS_LATEST) !== 0) {
    const start = reader.time();
    windows.setLatest(start, readWindow(reader, (flags & KNOWN_NAMES) === 0 ? undefined : known));
  }
  for (let count = reader.varint(); count > 0; count--) {
    const start = reader.time();
    const since = reader.time();
    if (hasSlots) windows.insert(start, since, reader.varint() + BY_START);
    else windows.insert(start, since, reader.u8() === 1 ? STUB : BY_START);
  }
  if (hasSlots) windows.spareSlot = reader.varint() + NO_SLOT;
  return windows;
}
