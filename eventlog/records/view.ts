/** Records of one batch as columns over one buffer: nothing is copied or allocated per record. */
import type { RecordHeader } from "../port.ts";
import { decodeHeaders } from "./decode-headers.ts";

/**
 * Positions index `bytes`. A start of -1 means null (no key, or a tombstone value). The buffer belongs to the fetch response: valid
 * until the batch is released (FetchedBatch.release), and slices of one that never is pin the whole response. So copy what is kept.
 */
export class RecordsView {
  readonly bytes: Buffer;
  readonly count: number;
  readonly offsets: Float64Array;
  readonly timestamps: Float64Array;
  readonly keyStarts: Int32Array;
  readonly keyEnds: Int32Array;
  readonly valueStarts: Int32Array;
  readonly valueEnds: Int32Array;
  /** Where the record's header count (zigzag varint) stands. */
  readonly headerStarts: Int32Array;
  /** Behind the record, where its headers must end. */
  readonly ends: Int32Array;

  constructor(columns: {
    bytes: Buffer;
    count: number;
    offsets: Float64Array;
    timestamps: Float64Array;
    keyStarts: Int32Array;
    keyEnds: Int32Array;
    valueStarts: Int32Array;
    valueEnds: Int32Array;
    headerStarts: Int32Array;
    ends: Int32Array;
  }) {
    this.bytes = columns.bytes;
    this.count = columns.count;
    this.offsets = columns.offsets;
    this.timestamps = columns.timestamps;
    this.keyStarts = columns.keyStarts;
    this.keyEnds = columns.keyEnds;
    this.valueStarts = columns.valueStarts;
    this.valueEnds = columns.valueEnds;
    this.headerStarts = columns.headerStarts;
    this.ends = columns.ends;
  }

  /** A slice of the shared buffer, or null. */
  key(index: number): Buffer | null {
    const start = this.keyStarts[index];
    return start < 0 ? null : this.bytes.subarray(start, this.keyEnds[index]);
  }

  /** A slice of the shared buffer, or null. */
  value(index: number): Buffer | null {
    const start = this.valueStarts[index];
    return start < 0 ? null : this.bytes.subarray(start, this.valueEnds[index]);
  }

  /** Decoded on demand; values are slices of the shared buffer. */
  headers(index: number): RecordHeader[] {
    return decodeHeaders(this.bytes, this.headerStarts[index], this.ends[index]);
  }
}

/** For batches that only move `nextOffset`. */
export const EMPTY_RECORDS = new RecordsView({
  bytes: Buffer.alloc(0),
  count: 0,
  offsets: new Float64Array(0),
  timestamps: new Float64Array(0),
  keyStarts: new Int32Array(0),
  keyEnds: new Int32Array(0),
  valueStarts: new Int32Array(0),
  valueEnds: new Int32Array(0),
  headerStarts: new Int32Array(0),
  ends: new Int32Array(0),
});
