/** Decodes the records of one batch into columns, in one pass and with nothing allocated per record. */
import { LogError } from "../errors.ts";
import { MIN_RECORD_BYTES } from "./batch-format.ts";
import { RecordsView } from "./view.ts";

/** What the header says of the records. */
export interface RecordsFrame {
  readonly baseOffset: number;
  readonly lastOffset: number;
  readonly recordCount: number;
  readonly baseTimestamp: number;
  readonly maxTimestamp: number;
  readonly isLogAppendTime: boolean;
}

/** What a record takes in the columns of a view, beside its own bytes: two doubles and six positions. */
export const COLUMN_BYTES = 2 * 8 + 6 * 4;

/** Records before `fromOffset` are left out. Throws `corrupt-batch` where bytes and frame do not fit together. */
export function readRecords(bytes: Buffer, start: number, end: number, frame: RecordsFrame, fromOffset: number): RecordsView {
  const { baseOffset, recordCount, baseTimestamp } = frame;
  if (recordCount * MIN_RECORD_BYTES > end - start) throw corrupt(frame, "more records announced than fit");
  const lastOffsetDelta = frame.lastOffset - baseOffset;
  const logAppendTime = frame.isLogAppendTime ? frame.maxTimestamp : undefined;
  const offsets = new Float64Array(recordCount);
  const timestamps = new Float64Array(recordCount);
  const positions = new Int32Array(recordCount * 6);
  const keyStarts = positions.subarray(0, recordCount);
  const keyEnds = positions.subarray(recordCount, recordCount * 2);
  const valueStarts = positions.subarray(recordCount * 2, recordCount * 3);
  const valueEnds = positions.subarray(recordCount * 3, recordCount * 4);
  const headerStarts = positions.subarray(recordCount * 4, recordCount * 5);
  const ends = positions.subarray(recordCount * 5);

  const cursor = new Cursor(bytes, start, end, frame);
  let count = 0;
  let previousDelta = -1;
  for (let i = 0; i < recordCount; i++) {
    const length = cursor.varint();
    const recordStart = cursor.at;
    const recordEnd = recordStart + length;
    if (length < MIN_RECORD_BYTES - 1 || recordEnd > end) throw corrupt(frame, "a record's length is impossible");
    cursor.end = recordEnd;
    cursor.at++; // attributes: unused by Kafka
    const timestampDelta = cursor.varlong();
    const delta = cursor.varint();
    if (delta <= previousDelta || delta > lastOffsetDelta) throw corrupt(frame, "a record's offset is impossible");
    previousDelta = delta;
    const keyLength = cursor.varint();
    const keyStart = cursor.at;
    if (keyLength > 0) cursor.skip(keyLength);
    const keyEnd = cursor.at;
    const valueLength = cursor.varint();
    const valueStart = cursor.at;
    if (valueLength > 0) cursor.skip(valueLength);
    if (cursor.at >= recordEnd) throw corrupt(frame, "a record is shorter than its parts");
    const offset = baseOffset + delta;
    if (offset >= fromOffset) {
      offsets[count] = offset;
      timestamps[count] = logAppendTime ?? baseTimestamp + timestampDelta;
      keyStarts[count] = keyLength < 0 ? -1 : keyStart;
      keyEnds[count] = keyEnd;
      valueStarts[count] = valueLength < 0 ? -1 : valueStart;
      valueEnds[count] = cursor.at;
      headerStarts[count] = cursor.at;
      ends[count] = recordEnd;
      count++;
    }
    cursor.at = recordEnd;
    cursor.end = end;
  }
  if (cursor.at !== end) throw corrupt(frame, "bytes are left after the last record");
  return new RecordsView({ bytes, count, offsets, timestamps, keyStarts, keyEnds, valueStarts, valueEnds, headerStarts, ends });
}

class Cursor {
  readonly #bytes: Buffer;
  readonly #frame: RecordsFrame;
  at: number;
  /** Nothing at or after this is read. */
  end: number;

  constructor(bytes: Buffer, start: number, end: number, frame: RecordsFrame) {
    this.#bytes = bytes;
    this.#frame = frame;
    this.at = start;
    this.end = end;
  }

  skip(count: number): void {
    if (count > this.end - this.at) throw corrupt(this.#frame, "a record is shorter than its parts");
    this.at += count;
  }

  varint(): number {
    let bits = 0;
    for (let shift = 0; shift <= 28; shift += 7) {
      if (this.at >= this.end) throw corrupt(this.#frame, "a record is cut off");
      const byte = this.#bytes[this.at++];
      bits |= (byte & 0x7f) << shift;
      if (byte < 0x80) return (bits >>> 1) ^ -(bits & 1);
    }
    throw corrupt(this.#frame, "a number is longer than 32 bits");
  }

  varlong(): number {
    const first = this.at;
    let bits = 0;
    for (let shift = 0; shift <= 63; shift += 7) {
      if (this.at >= this.end) throw corrupt(this.#frame, "a record is cut off");
      const byte = this.#bytes[this.at++];
      if (shift <= 21) bits |= (byte & 0x7f) << shift;
      if (byte < 0x80) return shift <= 21 ? (bits >>> 1) ^ -(bits & 1) : this.#wide(first);
    }
    throw corrupt(this.#frame, "a number is longer than 64 bits");
  }

  #wide(first: number): number {
    let bits = 0n;
    for (let i = this.at - 1; i >= first; i--) bits = (bits << 7n) | BigInt(this.#bytes[i] & 0x7f);
    bits = BigInt.asUintN(64, bits);
    return Number((bits >> 1n) ^ -(bits & 1n));
  }
}

function corrupt(frame: RecordsFrame, what: string): LogError {
  return new LogError("corrupt-batch", `record batch at offset ${frame.baseOffset} is broken: ${what}`);
}
