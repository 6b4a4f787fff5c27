/** Attributes in state rows: a count, then name, type byte and value of each. */
import type { ByteReader } from "../state/byte-reader.ts";
import type { ByteWriter } from "../state/byte-writer.ts";
import type { AttributeValue } from "./event.ts";

const FALSE = 0;
const TRUE = 1;
const NUMBER = 2;
const STRING = 3;

export function writeAttributes(attributes: Readonly<Record<string, AttributeValue>>, out: ByteWriter): void {
  const names = Object.keys(attributes);
  out.varint(names.length);
  for (const name of names) {
    const value = attributes[name];
    out.string(name);
    if (typeof value === "boolean") out.u8(value ? TRUE : FALSE);
    else if (typeof value === "number") {
      out.u8(NUMBER);
      out.number(value);
    } else {
      out.u8(STRING);
      out.string(value);
    }
  }
}

export function readAttributes(reader: ByteReader, into: Record<string, AttributeValue>): void {
  for (let count = reader.varint(); count > 0; count--) {
    const name = reader.string();
    const type = reader.u8();
    if (type > STRING) throw new RangeError(`attribute type ${type} is unknown`);
    into[name] = type === STRING ? reader.string() : type === NUMBER ? reader.number() : type === TRUE;
  }
}
