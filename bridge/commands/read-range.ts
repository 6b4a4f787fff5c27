/** Reads a part of one partition to its end, committed records only. */
import { LogError } from "../../eventlog/errors.ts";
import type { EventLog, PartitionOffset } from "../../eventlog/port.ts";
import type { RecordsView } from "../../eventlog/records/view.ts";

/** Longest time without getting on: an open transaction in the way is aborted before that (its time-out is half of this). */
const STALL_MS = 30_000;
const POLL_MS = 500;
/** Several partitions may be read at the same time. Bytes. */
const MAX_BUFFERED_BYTES = 2 * 1024 * 1024;

/** Rejects with `timed-out` when it does not get on. */
export async function readRange(
  log: EventLog,
  from: PartitionOffset,
  endOffset: number,
  onRecord: (records: RecordsView, index: number) => void,
): Promise<void> {
  if (from.offset >= endOffset) return;
  const reader = log.reader({ isolation: "read_committed", maxBufferedBytes: MAX_BUFFERED_BYTES });
  try {
    reader.assign([from]);
    let at = from.offset;
    let stalledSince = performance.now();
    while (at < endOffset) {
      for (const { records, nextOffset } of await reader.poll(POLL_MS)) {
        for (let i = 0; i < records.count; i++) if (records.offsets[i] < endOffset) onRecord(records, i);
        at = nextOffset;
        stalledSince = performance.now();
      }
      if (performance.now() - stalledSince > STALL_MS)
        throw new LogError("timed-out", `${from.topic}/${from.partition} could not be read from ${at} to ${endOffset}`);
    }
  } finally {
    await reader.close();
  }
}
