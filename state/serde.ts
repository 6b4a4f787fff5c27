/** How values become bytes and back: synchronous, in place, no intermediate buffers. */
import type { ByteWriter } from "./byte-writer.ts";

/**
 * `read` gets the bounds of the value inside a larger buffer that will be reused: it must copy what it keeps
 * (strings are copies already). It throws on bytes it cannot read.
 */
export interface Serde<T> {
  readonly name: string;
  write(value: T, out: ByteWriter): void;
  read(bytes: Buffer, start: number, end: number): T;
}
