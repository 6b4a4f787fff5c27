/** An engine without a disk: everything is gone on close. For tests, and for stores that restore from the changelog. */
import { StateError } from "../errors.ts";
import type { EngineOp, EngineRange, EngineRow, StateEngine } from "./engine.ts";

export class MemoryEngine implements StateEngine {
  /** Keys as latin1 strings: their code units compare as the bytes do. */
  readonly #rows = new Map<string, Buffer>();
  /** All keys in order, undefined after a batch. */
  #sorted: string[] | undefined;
  #open = false;

  async open(): Promise<void> {
    this.#open = true;
  }

  getSync(key: Uint8Array): Buffer | undefined {
    this.#assertOpen();
    return this.#rows.get(latin1(key));
  }

  async getMany(keys: readonly Uint8Array[]): Promise<readonly (Buffer | undefined)[]> {
    return keys.map((key) => this.getSync(key));
  }

  async batch(ops: Iterable<EngineOp>): Promise<void> {
    this.#assertOpen();
    // Copied first: an iteration that throws must leave nothing behind.
    const copies: [string, Buffer | undefined][] = [];
    for (const { key, value } of ops) copies.push([latin1(key), value === undefined ? undefined : Buffer.from(value)]);
    for (const [name, value] of copies) {
      if (value === undefined) this.#rows.delete(name);
      else this.#rows.set(name, value);
    }
    this.#sorted = undefined;
  }

  async read(range: EngineRange): Promise<readonly EngineRow[]> {
    this.#assertOpen();
    const sorted = (this.#sorted ??= [...this.#rows.keys()].sort(compare));
    const after = range.after === undefined ? undefined : latin1(range.after);
    const from = after ?? (range.from === undefined ? "" : latin1(range.from));
    const to = range.to === undefined ? undefined : latin1(range.to);
    const rows: EngineRow[] = [];
    for (let i = firstAtOrAfter(sorted, from); i < sorted.length && rows.length < range.limit; i++) {
      const name = sorted[i];
      if (to !== undefined && name >= to) break;
      if (name !== after) rows.push([Buffer.from(name, "latin1"), this.#rows.get(name) as Buffer]);
    }
    return rows;
  }

  async close(): Promise<void> {
    this.#open = false;
    this.#rows.clear();
    this.#sorted = undefined;
  }

  async destroy(): Promise<void> {
    await this.close();
  }

  #assertOpen(): void {
    if (!this.#open) throw new StateError("closed", "the memory engine is not open");
  }
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function firstAtOrAfter(sorted: readonly string[], key: string): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle] < key) low = middle + 1;
    else high = middle;
  }
  return low;
}
