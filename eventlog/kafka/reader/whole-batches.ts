/** Walks the batch headers of a fetch response without decoding records. */
import { AT, LENGTH_PREFIX_BYTES, readInt64, HEADER_BYTES } from "../../records/batch-format.ts";

/** Where to fetch on after the whole batches in `records`, or undefined when not one is whole. Checks nothing: parseBatches does. */
export function offsetAfter(records: Buffer): number | undefined {
  let next: number | undefined;
  let at = 0;
  while (at + HEADER_BYTES <= records.length) {
    const end = at + LENGTH_PREFIX_BYTES + records.readInt32BE(at + AT.batchLength);
    if (end > records.length || end < at + HEADER_BYTES) break;
    next = readInt64(records, at + AT.baseOffset) + records.readInt32BE(at + AT.lastOffsetDelta) + 1;
    at = end;
  }
  return next;
}
