/** Reads a part of one partition to its end, committed records only. */
import type { EventLog, PartitionOffset } from "../../eventlog/port.ts";
import { readToEnd } from "../../eventlog/read-to-end.ts";
import type { RecordsView } from "../../eventlog/records/view.ts";

/** An open transaction in the way is aborted before that (its time-out is half of this). */
const STALLED_MS = 30_000;
/** Several partitions may be read at the same time. Bytes. */
const MAX_BUFFERED_BYTES = 2 * 1024 * 1024;

/** Rejects with `timed-out` when it does not get on. */
export async function readRange(
  log: EventLog,
  from: PartitionOffset,
  endOffset: number,
  onRecord: (records: RecordsView, index: number) => void,
): Promise<void> {
  const bounds = { stalledMs: STALLED_MS, maxBufferedBytes: MAX_BUFFERED_BYTES };
  for await (const batches of readToEnd(log, [from], [{ ...from, offset: endOffset }], bounds))
    for (const { records } of batches) for (let i = 0; i < records.count; i++) if (records.offsets[i] < endOffset) onRecord(records, i);
}
