/** Reads a compacted topic as what it is, a table: every row there is now. */
import type { EventLog, FetchedBatch, PartitionOffset } from "../eventlog/port.ts";
import { readToEnd } from "../eventlog/read-to-end.ts";

/** @param value null: the row is gone */
export type OnRow = (key: string, value: Buffer | null) => void;

/**
 * Calls `onRow` for everything up to the end as it is now; older values of a row that compaction has not removed yet come first.
 * Returns where that end is, for who wants what changes. Rejects with `timed-out`, or as the reader does, e.g. `unknown-topic`.
 */
export async function readTable(log: EventLog, topic: string, onRow: OnRow): Promise<readonly PartitionOffset[]> {
  const count = await log.partitionCount(topic);
  const partitions = Array.from({ length: count }, (_, partition) => ({ topic, partition }));
  const [starts, ends] = await Promise.all([
    log.admin.listOffsets(partitions, "earliest", "read_committed"),
    log.admin.listOffsets(partitions, "latest", "read_committed"),
  ]);
  const endOf = new Map(ends.map(({ partition, offset }) => [partition, offset]));
  for await (const batches of readToEnd(log, starts, ends)) for (const batch of batches) giveRows(batch, onRow, endOf.get(batch.partition));
  return ends;
}

/** The rows of a batch, up to an end. */
export function giveRows({ records }: FetchedBatch, onRow: OnRow, endOffset = Infinity): void {
  for (let i = 0; i < records.count; i++) {
    const key = records.key(i);
    if (key !== null && records.offsets[i] < endOffset) onRow(key.toString(), records.value(i));
  }
}
