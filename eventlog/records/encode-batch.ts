/** Turns a pending batch, or a transaction marker, into the bytes of a record batch v2. */
import type { Compression } from "../port.ts";
import type { PendingBatch } from "./batch-builder.ts";
import {
  AT,
  ATTRIBUTE,
  HEADER_BYTES,
  LENGTH_PREFIX_BYTES,
  MAGIC_V2,
  NO_PRODUCER_EPOCH,
  NO_PRODUCER_ID,
  NO_SEQUENCE,
  writeInt64,
} from "./batch-format.ts";
import { COMPRESSION_ID, compress } from "./compression.ts";
import { crc32c } from "./crc32c.ts";

/** What a batch is stamped with when it goes out. Left out: offset 0, no producer, no compression, not transactional. */
export interface BatchStamp {
  readonly baseOffset?: number;
  readonly producerId?: number;
  readonly producerEpoch?: number;
  readonly baseSequence?: number;
  readonly transactional?: boolean;
  readonly compression?: Compression;
  readonly partitionLeaderEpoch?: number;
}

/**
 * The batch in final bytes. Without compression (also when it would not make the batch smaller) this is a slice of the
 * builder's own buffer, nothing copied: do not append to or clear the builder before the write is durable or given up.
 * Encoding again with another stamp is fine, and changes the bytes handed out before.
 */
export function encodeBatch(pending: PendingBatch, stamp: BatchStamp): Buffer {
  const compression = stamp.compression ?? "none";
  if (compression !== "none") {
    const compressed = compress(compression, pending.buffer.subarray(HEADER_BYTES, pending.byteLength));
    if (compressed.length < pending.byteLength - HEADER_BYTES) {
      const bytes = Buffer.allocUnsafeSlow(HEADER_BYTES + compressed.length);
      compressed.copy(bytes, HEADER_BYTES);
      fillHeader(bytes, pending, stamp, COMPRESSION_ID[compression]);
      return bytes;
    }
  }
  const bytes = pending.buffer.subarray(0, pending.byteLength);
  fillHeader(bytes, pending, stamp, COMPRESSION_ID.none);
  return bytes;
}

type RecordsSummary = Pick<PendingBatch, "recordCount" | "baseTimestamp" | "maxTimestamp">;

function fillHeader(bytes: Buffer, records: RecordsSummary, stamp: BatchStamp, attributes: number): void {
  writeInt64(bytes, stamp.baseOffset ?? 0, AT.baseOffset);
  bytes.writeInt32BE(bytes.length - LENGTH_PREFIX_BYTES, AT.batchLength);
  bytes.writeInt32BE(stamp.partitionLeaderEpoch ?? -1, AT.partitionLeaderEpoch);
  bytes[AT.magic] = MAGIC_V2;
  bytes.writeInt16BE(attributes | (stamp.transactional === true ? ATTRIBUTE.transactional : 0), AT.attributes);
  bytes.writeInt32BE(records.recordCount - 1, AT.lastOffsetDelta);
  writeInt64(bytes, records.baseTimestamp, AT.baseTimestamp);
  writeInt64(bytes, records.maxTimestamp, AT.maxTimestamp);
  writeInt64(bytes, stamp.producerId ?? NO_PRODUCER_ID, AT.producerId);
  bytes.writeInt16BE(stamp.producerEpoch ?? NO_PRODUCER_EPOCH, AT.producerEpoch);
  bytes.writeInt32BE(stamp.baseSequence ?? NO_SEQUENCE, AT.baseSequence);
  bytes.writeInt32BE(records.recordCount, AT.recordCount);
  bytes.writeUInt32BE(crc32c(bytes, AT.attributes, bytes.length), AT.crc);
}

export type ControlType = "abort" | "commit";

/** Type in a control record's key, next to its version 0. Source: ControlRecordType.java. */
export const CONTROL_TYPE_ID: Readonly<Record<ControlType, number>> = { abort: 0, commit: 1 };

/** A transaction marker: one record whose key is version and type, and whose value is version and coordinator epoch (EndTransactionMarker.java). */
export function encodeControlBatch(
  type: ControlType,
  stamp: { readonly baseOffset: number; readonly producerId: number; readonly producerEpoch: number; readonly timestamp: number },
): Buffer {
  const record = Buffer.from([
    ...[32, 0, 0, 0], // length 16, attributes, timestamp delta, offset delta
    ...[8, 0, 0, 0, CONTROL_TYPE_ID[type]], // key length 4, version, type
    ...[12, 0, 0, 0, 0, 0, 0], // value length 6, version, coordinator epoch
    0, // headers
  ]);
  const bytes = Buffer.concat([Buffer.alloc(HEADER_BYTES), record]);
  const summary = { recordCount: 1, baseTimestamp: stamp.timestamp, maxTimestamp: stamp.timestamp };
  fillHeader(bytes, summary, { ...stamp, transactional: true }, ATTRIBUTE.control);
  return bytes;
}
