/** A bounded, growing output for decompressors; refuses references outside of what was written. */
import { LogError } from "../errors.ts";

/** First guess of the output's size: text-like records shrink about fourfold. */
const EXPECTED_RATIO = 4;

export class ByteSink {
  readonly #maxBytes: number;
  #bytes: Buffer;
  #length = 0;

  constructor(inputBytes: number, maxBytes: number) {
    this.#maxBytes = maxBytes;
    this.#bytes = Buffer.allocUnsafeSlow(Math.min(maxBytes, inputBytes * EXPECTED_RATIO + 64));
  }

  get length(): number {
    return this.#length;
  }

  /** Appends `source[start, end)`; the caller has checked that the range exists. */
  copy(source: Buffer, start: number, end: number): void {
    this.#reserve(end - start);
    source.copy(this.#bytes, this.#length, start, end);
    this.#length += end - start;
  }

  /** Repeats `count` bytes from `distance` back; they may overlap what is being written. */
  repeat(distance: number, count: number, oldest = 0): void {
    if (distance <= 0 || distance > this.#length - oldest)
      throw new LogError("corrupt-batch", "compressed data refers to bytes before its begin");
    this.#reserve(count);
    const bytes = this.#bytes;
    let to = this.#length;
    if (distance >= count && count > 32) {
      bytes.copyWithin(to, to - distance, to - distance + count);
      to += count;
    } else {
      for (let from = to - distance, end = to + count; to < end;) bytes[to++] = bytes[from++];
    }
    this.#length = to;
  }

  take(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  #reserve(count: number): void {
    const needed = this.#length + count;
    if (needed <= this.#bytes.length) return;
    if (needed > this.#maxBytes) throw expandsPast(this.#maxBytes);
    const grown = Buffer.allocUnsafeSlow(Math.min(this.#maxBytes, Math.max(needed, this.#bytes.length * 2)));
    this.#bytes.copy(grown, 0, 0, this.#length);
    this.#bytes = grown;
  }
}

export function expandsPast(maxBytes: number): LogError {
  return new LogError("batch-too-large", `compressed data expands past ${maxBytes} bytes`);
}
