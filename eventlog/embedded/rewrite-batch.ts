/** A batch with some of its records left out: offsets, timestamps and header range stay, compression goes. */
import { AT, HEADER_BYTES, ATTRIBUTE, LENGTH_PREFIX_BYTES, writeInt64 } from "../records/batch-format.ts";
import { crc32c } from "../records/crc32c.ts";
import type { ParsedBatch } from "../records/parsed-batch.ts";
import type { RecordsView } from "../records/view.ts";

/** @param view all records of the batch; @param keep 1 for each that stays, at least one of them */
export function rewriteBatch(batch: ParsedBatch, view: RecordsView, keep: Uint8Array): { bytes: Buffer; maxTimestamp: number } {
  const parts: Buffer[] = [batch.bytes.subarray(batch.start, batch.start + HEADER_BYTES)];
  let maxTimestamp = -1;
  let count = 0;
  let start = view.bytes === batch.bytes ? batch.start + HEADER_BYTES : 0;
  for (let i = 0; i < view.count; i++) {
    const end = recordEnd(view.bytes, start);
    if (keep[i] === 1) {
      parts.push(view.bytes.subarray(start, end));
      maxTimestamp = Math.max(maxTimestamp, view.timestamps[i]);
      count++;
    }
    start = end;
  }
  const bytes = Buffer.concat(parts);
  bytes.writeInt32BE(bytes.length - LENGTH_PREFIX_BYTES, AT.batchLength);
  bytes.writeInt16BE(batch.attributes & ~ATTRIBUTE.compressionMask, AT.attributes);
  writeInt64(bytes, maxTimestamp, AT.maxTimestamp);
  bytes.writeInt32BE(count, AT.recordCount);
  bytes.writeUInt32BE(crc32c(bytes, AT.attributes, bytes.length), AT.crc);
  return { bytes, maxTimestamp };
}

/** The record's length stands first, a zigzag varint; the view's parser has checked it. */
function recordEnd(bytes: Buffer, start: number): number {
  let at = start;
  let bits = 0;
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[at++];
    bits |= (byte & 0x7f) << shift;
    if (byte < 0x80) return at + (bits >>> 1);
  }
}
