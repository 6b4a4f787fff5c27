/** Serdes for plain values. State uses binary ones; `json` is for topics and small tools. */
import { isUtf8 } from "node:buffer";
import type { ByteWriter } from "./byte-writer.ts";
import { StateError } from "./errors.ts";
import type { Serde } from "./serde.ts";

/** A value inside a larger buffer. Valid only until the next read of the same serde. */
export interface ByteSlice {
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;
}

/** UTF-8. Bytes that are no UTF-8 are refused: replacing them would make different keys equal. */
const string: Serde<string> = {
  name: "string",
  write: (value, out) => out.utf8(value),
  read: (bytes, start, end) => {
    const text = bytes.toString("utf8", start, end);
    if (text.includes("\ufffd") && !isUtf8(bytes.subarray(start, end))) throw new StateError("corrupt-row", "not UTF-8");
    return text;
  },
};

/** Copies. */
const bytes: Serde<Uint8Array> = {
  name: "bytes",
  write: (value, out) => out.bytes(value, 0, value.length),
  read: (source, start, end) => Buffer.from(source.subarray(start, end)),
};

const float64: Serde<number> = {
  name: "float64",
  write: (value, out) => out.f64(value),
  read: (source, start, end) => {
    if (end - start !== 8) throw new StateError("corrupt-row", `a float64 has 8 bytes, not ${end - start}`);
    return source.readDoubleBE(start);
  },
};

/** No bytes: for rows whose key says it all. */
const nothing: Serde<void> = {
  name: "void",
  write: () => undefined,
  read: (_source, start, end) => {
    if (end !== start) throw new StateError("corrupt-row", `${end - start} bytes where none belong`);
  },
};

/** Throws SyntaxError on bytes that are no JSON. `T` is not checked at run time. */
function json<T>(): Serde<T> {
  return {
    name: "json",
    write: (value, out) => out.utf8(JSON.stringify(value)),
    read: (source, start, end) => JSON.parse(source.toString("utf8", start, end)) as T,
  };
}

class SliceSerde implements Serde<ByteSlice> {
  readonly name = "slice";
  readonly #cursor: { bytes: Buffer; start: number; end: number } = { bytes: Buffer.alloc(0), start: 0, end: 0 };

  write(value: ByteSlice, out: ByteWriter): void {
    out.bytes(value.bytes, value.start, value.end);
  }

  read(source: Buffer, start: number, end: number): ByteSlice {
    const cursor = this.#cursor;
    cursor.bytes = source;
    cursor.start = start;
    cursor.end = end;
    return cursor;
  }
}

export const serdes = {
  string,
  bytes,
  float64,
  void: nothing,
  json,
  /** A reused cursor, nothing allocated. Each use of `serdes.slice` has a cursor of its own, so key and value don't share one. Not for stores. */
  get slice(): Serde<ByteSlice> {
    return new SliceSerde();
  },
} as const;
