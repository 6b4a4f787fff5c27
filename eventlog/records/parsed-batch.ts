/** One record batch in place: its header fields, and its records on demand. */
import { LogError } from "../errors.ts";
import type { Compression } from "../port.ts";
import { AT, ATTRIBUTE, HEADER_BYTES, readInt64 } from "./batch-format.ts";
import { compressionById, decompress, MAX_DECOMPRESSED_BYTES } from "./compression.ts";
import { CONTROL_TYPE_ID } from "./encode-batch.ts";
import type { ControlType } from "./encode-batch.ts";
import { COLUMN_BYTES, readRecords } from "./read-records.ts";
import type { RecordsView } from "./view.ts";

export class ParsedBatch {
  readonly bytes: Buffer;
  /** The batch is `bytes[start, end)`. */
  readonly start: number;
  readonly end: number;
  readonly baseOffset: number;
  readonly lastOffset: number;
  /** Where to read on, whatever records are left of the batch. */
  readonly nextOffset: number;
  /** Records the header announces; may be 0 in a compacted batch. */
  readonly recordCount: number;
  readonly attributes: number;
  readonly baseTimestamp: number;
  readonly maxTimestamp: number;
  /** -1: none. */
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly baseSequence: number;

  /** `bytes[start, end)` must be a whole batch by its length field (see parseBatches). Throws `corrupt-batch`. */
  constructor(bytes: Buffer, start: number, end: number) {
    this.bytes = bytes;
    this.start = start;
    this.end = end;
    this.baseOffset = readInt64(bytes, start + AT.baseOffset);
    const lastOffsetDelta = bytes.readInt32BE(start + AT.lastOffsetDelta);
    this.lastOffset = this.baseOffset + lastOffsetDelta;
    this.nextOffset = this.lastOffset + 1;
    this.recordCount = bytes.readInt32BE(start + AT.recordCount);
    this.attributes = bytes.readInt16BE(start + AT.attributes);
    this.baseTimestamp = readInt64(bytes, start + AT.baseTimestamp);
    this.maxTimestamp = readInt64(bytes, start + AT.maxTimestamp);
    this.producerId = readInt64(bytes, start + AT.producerId);
    this.producerEpoch = bytes.readInt16BE(start + AT.producerEpoch);
    this.baseSequence = bytes.readInt32BE(start + AT.baseSequence);
    if (this.baseOffset < 0 || lastOffsetDelta < 0 || !Number.isSafeInteger(this.nextOffset)) throw this.#corrupt("impossible offsets");
    if (this.recordCount < 0 || this.recordCount > lastOffsetDelta + 1) throw this.#corrupt("impossible record count");
    if (!Number.isSafeInteger(this.baseTimestamp) || !Number.isSafeInteger(this.maxTimestamp)) throw this.#corrupt("impossible timestamp");
    if (!Number.isSafeInteger(this.producerId)) throw this.#corrupt("impossible producer id");
  }

  get isTransactional(): boolean {
    return (this.attributes & ATTRIBUTE.transactional) !== 0;
  }

  /** A transaction marker: no data, and its records are not for users. */
  get isControl(): boolean {
    return (this.attributes & ATTRIBUTE.control) !== 0;
  }

  /** The broker stamped the records: each has the batch's maxTimestamp. */
  get isLogAppendTime(): boolean {
    return (this.attributes & ATTRIBUTE.logAppendTime) !== 0;
  }

  /** Throws `unsupported-compression` for an id that Kafka does not define. */
  get compression(): Compression {
    const id = this.attributes & ATTRIBUTE.compressionMask;
    const compression = compressionById(id);
    if (compression === undefined)
      throw new LogError("unsupported-compression", `record batch at offset ${this.baseOffset} has compression ${id}`);
    return compression;
  }

  /** Undefined for a data batch, an emptied control batch, and for marker types that are no transaction's end. */
  get controlType(): ControlType | undefined {
    if (!this.isControl) return undefined;
    const records = this.records();
    if (records.count === 0) return undefined;
    const key = records.key(0);
    if (key === null || key.length < 4) throw this.#corrupt("control record without a type");
    const type = key.readInt16BE(2);
    if (type === CONTROL_TYPE_ID.abort) return "abort";
    return type === CONTROL_TYPE_ID.commit ? "commit" : undefined;
  }

  /**
   * The records at or after `fromOffset`. Throws `corrupt-batch`, `unsupported-compression`, or `batch-too-large` when a compressed
   * batch and its columns would take more than `maxBytes`. Each call decodes anew.
   */
  records(fromOffset = 0, maxBytes = MAX_DECOMPRESSED_BYTES): RecordsView {
    const compression = this.compression;
    let records = this.bytes;
    let start = this.start + HEADER_BYTES;
    let end = this.end;
    if (compression !== "none" && this.recordCount > 0) {
      const columns = this.recordCount * COLUMN_BYTES;
      if (columns >= maxBytes) throw new LogError("batch-too-large", `${this.recordCount} records take more than ${maxBytes} bytes`);
      records = decompress(compression, this.bytes.subarray(start, end), maxBytes - columns);
      start = 0;
      end = records.length;
    }
    return readRecords(records, start, end, this, fromOffset);
  }

  #corrupt(what: string): LogError {
    return new LogError("corrupt-batch", `record batch at offset ${this.baseOffset} is broken: ${what}`);
  }
}
