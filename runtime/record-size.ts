/** How large a record is on its own: what a topic's `max.message.bytes` is compared with. */
import type { RecordHeader } from "../eventlog/port.ts";

/** Of a batch of one record, header included; varints at their longest. */
const OVERHEAD_BYTES = 61 + 40;
const HEADER_OVERHEAD_BYTES = 10;

/** Never less than the batch of that record alone, and a few bytes more. @param dataBytes of its key and value */
export function aloneBytes(dataBytes: number, headers: readonly RecordHeader[] | undefined): number {
  let bytes = dataBytes + OVERHEAD_BYTES;
  for (const { key, value } of headers ?? []) bytes += Buffer.byteLength(key) + (value?.length ?? 0) + HEADER_OVERHEAD_BYTES;
  return bytes;
}
