/** Values of the small rows next to the batches. */
import { readInt64, writeInt64 } from "../records/batch-format.ts";

/** What maintenance and offset look-ups must know of a batch without reading it. */
export interface BatchIndex {
  readonly nextOffset: number;
  readonly maxTimestamp: number;
  /** Size of the batch. */
  readonly bytes: number;
  /** When compaction first saw the tombstones in it, epoch ms; 0: not compacted yet, or none in it. */
  readonly tombstonesSeenAt: number;
}

export function encodeBatchIndex(index: BatchIndex): Buffer {
  const row = Buffer.allocUnsafe(28);
  writeInt64(row, index.nextOffset, 0);
  writeInt64(row, index.maxTimestamp, 8);
  row.writeInt32BE(index.bytes, 16);
  writeInt64(row, index.tombstonesSeenAt, 20);
  return row;
}

export function decodeBatchIndex(row: Buffer): BatchIndex {
  return {
    nextOffset: readInt64(row, 0),
    maxTimestamp: readInt64(row, 8),
    bytes: row.readInt32BE(16),
    tombstonesSeenAt: readInt64(row, 20),
  };
}

/** Written by maintenance only: what the batches that are left no longer tell. */
export interface PartitionRow {
  /** First offset still kept. */
  readonly start: number;
  /** Offsets below were given out, even if the batches are gone. */
  readonly end: number;
  /** Everything below was compacted. */
  readonly compactedTo: number;
}

export function encodePartitionRow(row: PartitionRow): Buffer {
  const bytes = Buffer.allocUnsafe(24);
  writeInt64(bytes, row.start, 0);
  writeInt64(bytes, row.end, 8);
  writeInt64(bytes, row.compactedTo, 16);
  return bytes;
}

export function decodePartitionRow(bytes: Buffer): PartitionRow {
  return { start: readInt64(bytes, 0), end: readInt64(bytes, 8), compactedTo: readInt64(bytes, 16) };
}
