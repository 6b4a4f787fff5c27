/** Record headers, decoded only when somebody asks. */
import { LogError } from "../errors.ts";
import type { RecordHeader } from "../port.ts";

/**
 * The headers whose count stands at `start` and which must end at `end`, with their record; values are slices of `bytes`. Throws
 * `corrupt-batch` on a count or lengths that do not fit.
 * Source: record format v2 of Kafka's protocol guide: count, then (key length, key, value length, value)*, all zigzag varints.
 */
export function decodeHeaders(bytes: Buffer, start: number, end: number): RecordHeader[] {
  let position = start;
  const varint = (): number => {
    let bits = 0;
    for (let shift = 0; shift <= 28; shift += 7) {
      if (position >= end) throw corrupt();
      const byte = bytes[position++];
      bits |= (byte & 0x7f) << shift;
      if (byte < 0x80) return (bits >>> 1) ^ -(bits & 1);
    }
    throw corrupt();
  };
  const take = (length: number): number => {
    if (length < 0 || length > end - position) throw corrupt();
    position += length;
    return position;
  };
  const count = varint();
  if (count < 0) throw corrupt();
  const headers: RecordHeader[] = [];
  for (let i = 0; i < count; i++) {
    const keyLength = varint();
    const keyEnd = take(keyLength);
    const key = bytes.toString("utf8", keyEnd - keyLength, keyEnd);
    const valueLength = varint();
    if (valueLength < 0) headers.push({ key, value: null });
    else {
      const valueEnd = take(valueLength);
      headers.push({ key, value: bytes.subarray(valueEnd - valueLength, valueEnd) });
    }
  }
  if (position !== end) throw corrupt();
  return headers;
}

function corrupt(): LogError {
  return new LogError("corrupt-batch", "a record's headers do not fit its bytes");
}
