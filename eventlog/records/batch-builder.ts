/** Builds the record batches of one partition, each record written once, straight into its final bytes. */
import type { RecordHeader } from "../port.ts";
import { HEADER_BYTES } from "./batch-format.ts";
import { BufferPool } from "./buffer-pool.ts";
import { varintSize, varlongSize, writeVarint, writeVarlong } from "./varint.ts";

/**
 * A batch whose records are in place and whose 61-byte header is still blank: `encodeBatch` fills it in, any number
 * of times. `buffer` is the builder's own: valid until the builder is appended to, or told that it is written, or cleared, which gives it
 * to others.
 */
export interface PendingBatch {
  /** Begins with the header; may be longer than the batch. */
  readonly buffer: Buffer;
  readonly byteLength: number;
  readonly recordCount: number;
  readonly baseTimestamp: number;
  readonly maxTimestamp: number;
}

/** Below this many bytes a copy loop beats the call of Buffer.copy (measured, Node 24). */
const COPY_LOOP_BYTES = 48;
const NO_HEADERS: readonly RecordHeader[] = [];

const NO_BUFFER = Buffer.alloc(0);

/** See `RecordSet`, which makes one for each partition written to. A buffer a batch. Offsets are relative until encoding. */
export class BatchBuilder {
  readonly topic: string;
  readonly partition: number;
  readonly #maxBatchBytes: number;
  readonly #pool: BufferPool;
  /** Of the open batch, as far as #position. */
  #buffer: Buffer = NO_BUFFER;
  #position = 0;
  #closed: PendingBatch[] = [];
  #closedRecords = 0;
  #closedBytes = 0;
  /** Batches, oldest first, that are written. */
  #written = 0;
  #batchRecords = 0;
  #baseTimestamp = 0;
  #maxTimestamp = 0;
  /** What it held when it was last cleared: partitions get about as much each time, so their buffers begin with the right size. */
  #expectedBytes = 0;

  /**
   * @param maxBatchBytes a batch, header included, is closed before it grows past this; a larger single record makes its own
   * @param pool where its buffers come from, and go to when it is cleared
   */
  constructor(topic: string, partition: number, maxBatchBytes: number, pool = new BufferPool()) {
    this.topic = topic;
    this.partition = partition;
    this.#maxBatchBytes = maxBatchBytes;
    this.#pool = pool;
  }

  get recordCount(): number {
    return this.#closedRecords + this.#batchRecords;
  }

  /** Bytes of all batches, their headers included, before compression. */
  get byteLength(): number {
    return this.#closedBytes + this.#position;
  }

  /**
   * Copies `key[keyStart, keyEnd)` and `value[valueStart, valueEnd)`; null writes a null key, or a tombstone.
   * @param timestamp epoch ms: whole, 0 or more (0 stays 0), or -1 for none. Throws RangeError on anything else.
   */
  append(
    timestamp: number,
    key: Uint8Array | null,
    keyStart: number,
    keyEnd: number,
    value: Uint8Array | null,
    valueStart: number,
    valueEnd: number,
    headers: readonly RecordHeader[] = NO_HEADERS,
  ): void {
    if (!Number.isSafeInteger(timestamp) || timestamp < -1)
      throw new RangeError(`timestamp must be whole milliseconds since 1970, got ${timestamp}`);
    const keyLength = key === null ? -1 : keyEnd - keyStart;
    const valueLength = value === null ? -1 : valueEnd - valueStart;
    const dataBytes =
      varintSize(keyLength) +
      varintSize(valueLength) +
      (key === null ? 0 : keyLength) +
      (value === null ? 0 : valueLength) +
      headersSize(headers);

    let bodyBytes = 1 + varlongSize(timestamp - this.#baseTimestamp) + varintSize(this.#batchRecords) + dataBytes;
    if (this.#batchRecords > 0 && this.#position + varintSize(bodyBytes) + bodyBytes > this.#maxBatchBytes) {
      this.#closeBatch();
    }
    if (this.#batchRecords === 0) {
      this.#reserve(HEADER_BYTES);
      this.#position = HEADER_BYTES;
      this.#baseTimestamp = timestamp;
      this.#maxTimestamp = timestamp;
      bodyBytes = 3 + dataBytes; // attributes and both deltas 0
    }

    this.#reserve(varintSize(bodyBytes) + bodyBytes);
    const buffer = this.#buffer;
    let at = writeVarint(buffer, bodyBytes, this.#position);
    buffer[at++] = 0;
    at = writeVarlong(buffer, timestamp - this.#baseTimestamp, at);
    at = writeVarint(buffer, this.#batchRecords, at);
    at = writeVarint(buffer, keyLength, at);
    if (key !== null) at = copyBytes(key, keyStart, keyEnd, buffer, at);
    at = writeVarint(buffer, valueLength, at);
    if (value !== null) at = copyBytes(value, valueStart, valueEnd, buffer, at);
    if (headers.length === 0) buffer[at++] = 0;
    else at = writeHeaders(headers, buffer, at);
    this.#position = at;
    this.#batchRecords++;
    if (timestamp > this.#maxTimestamp) this.#maxTimestamp = timestamp;
  }

  /** Some of what was appended has left: only clear() is possible now. */
  get isPartlyWritten(): boolean {
    return this.#written > 0;
  }

  /** The oldest batch that is left is written, and its buffer free for others. Nothing may be appended before clear(). */
  batchWritten(): void {
    const batch = this.#closed.at(this.#written++);
    this.#pool.give(batch?.buffer ?? this.#buffer);
    if (batch === undefined) this.#buffer = NO_BUFFER;
  }

  /** Empties the builder for reuse. Batches handed out before are no longer valid. */
  clear(): void {
    this.#expectedBytes = this.byteLength;
    for (let i = this.#written; i < this.#closed.length; i++) this.#pool.give(this.#closed[i].buffer);
    this.#pool.give(this.#buffer);
    this.#buffer = NO_BUFFER;
    this.#written = 0;
    this.#position = 0;
    this.#closed = [];
    this.#closedRecords = 0;
    this.#closedBytes = 0;
    this.#batchRecords = 0;
  }

  /** All batches that are not written yet, in order; see PendingBatch for how long they are valid. */
  get batches(): readonly PendingBatch[] {
    const batches = this.#closed.slice(this.#written);
    if (this.#batchRecords > 0 && this.#written <= this.#closed.length) batches.push(this.#openBatch());
    return batches;
  }

  #openBatch(): PendingBatch {
    return {
      buffer: this.#buffer,
      byteLength: this.#position,
      recordCount: this.#batchRecords,
      baseTimestamp: this.#baseTimestamp,
      maxTimestamp: this.#maxTimestamp,
    };
  }

  #closeBatch(): void {
    this.#closed.push(this.#openBatch());
    this.#closedRecords += this.#batchRecords;
    this.#closedBytes += this.#position;
    this.#batchRecords = 0;
    this.#buffer = NO_BUFFER;
    this.#position = 0;
  }

  #reserve(bytes: number): void {
    const needed = this.#position + bytes;
    if (needed <= this.#buffer.length) return;
    const expected = Math.min(this.#expectedBytes - this.#closedBytes, this.#maxBatchBytes);
    const grown = this.#pool.take(Math.max(needed, expected));
    this.#buffer.copy(grown, 0, 0, this.#position);
    this.#pool.give(this.#buffer);
    this.#buffer = grown;
  }
}

function copyBytes(source: Uint8Array, start: number, end: number, target: Buffer, at: number): number {
  if (end - start < COPY_LOOP_BYTES) {
    for (let i = start; i < end; i++) target[at++] = source[i];
    return at;
  }
  if (Buffer.isBuffer(source)) return at + source.copy(target, at, start, end);
  target.set(source.subarray(start, end), at);
  return at + end - start;
}

function headersSize(headers: readonly RecordHeader[]): number {
  if (headers.length === 0) return 1;
  let bytes = varintSize(headers.length);
  for (const { key, value } of headers) {
    const keyLength = Buffer.byteLength(key);
    bytes += varintSize(keyLength) + keyLength + (value === null ? 1 : varintSize(value.length) + value.length);
  }
  return bytes;
}

function writeHeaders(headers: readonly RecordHeader[], target: Buffer, at: number): number {
  at = writeVarint(target, headers.length, at);
  for (const { key, value } of headers) {
    at = writeVarint(target, Buffer.byteLength(key), at);
    at += target.write(key, at, "utf8");
    at = writeVarint(target, value === null ? -1 : value.length, at);
    if (value !== null) at = copyBytes(value, 0, value.length, target, at);
  }
  return at;
}
