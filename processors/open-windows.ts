/** The windows of one device that are open, or closed idle and remembered, earliest first. */
import type { RowHandle } from "../state/store.ts";
import type { WindowRow } from "./window-row.ts";

/** Numbers per window in `#numbers`, in this order: one array, so that an event touches little memory. */
const START = 0;
const SINCE = 1;
const IS_STUB = 2;
const STRIDE = 3;

/** Arrays are as long as they must be: most devices of a large fleet only wait. */
export class OpenWindows {
  #numbers: number[] = [];
  /** Of the windows whose row was looked up since forgetRows(), by index. */
  #rows: (RowHandle<WindowRow> | undefined)[] | undefined;
  readonly key: string;

  constructor(key: string) {
    this.key = key;
  }

  get count(): number {
    return this.#numbers.length / STRIDE;
  }

  start(index: number): number {
    return this.#numbers[index * STRIDE + START];
  }

  /** Receive time of the window's last record; of its close for a stub. */
  since(index: number): number {
    return this.#numbers[index * STRIDE + SINCE];
  }

  /** Closed idle, and kept so that later records for it are known to be late. */
  isStub(index: number): boolean {
    return this.#numbers[index * STRIDE + IS_STUB] === 1;
  }

  row(index: number): RowHandle<WindowRow> | undefined {
    return this.#rows?.[index];
  }

  /** The device is no longer one of those at hand. */
  forgetRows(): void {
    this.#rows = undefined;
  }

  /** From the end: most events are for the device's latest window. -1: none. */
  find(start: number): number {
    const numbers = this.#numbers;
    for (let at = numbers.length - STRIDE; at >= 0; at -= STRIDE) if (numbers[at + START] === start) return at / STRIDE;
    return -1;
  }

  insert(start: number, since: number, isStub: boolean): void {
    let index = this.count;
    while (index > 0 && this.start(index - 1) > start) index--;
    const numbers = this.#numbers;
    const at = index * STRIDE;
    const added = [start, since, isStub ? 1 : 0];
    this.#numbers = numbers.length === 0 ? added : numbers.slice(0, at).concat(added, numbers.slice(at));
    this.#rows?.splice(index, 0, undefined);
  }

  used(index: number, since: number): void {
    this.#numbers[index * STRIDE + SINCE] = since;
  }

  setRow(index: number, row: RowHandle<WindowRow>): void {
    (this.#rows ??= new Array<RowHandle<WindowRow> | undefined>(this.count).fill(undefined))[index] = row;
  }

  becomeStub(index: number, since: number): void {
    this.#numbers[index * STRIDE + SINCE] = since;
    this.#numbers[index * STRIDE + IS_STUB] = 1;
  }

  remove(index: number): void {
    this.#numbers.splice(index * STRIDE, STRIDE);
    this.#rows?.splice(index, 1);
  }
}
