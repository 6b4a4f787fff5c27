/** Reads a compacted topic as what it is, a table: every row there is now, then, for who wants it, what changes. */
import type { EventLog, LogReader } from "../eventlog/port.ts";

/** A poll without news ends after this. */
const POLL_WAIT_MS = 1000;

/** @param value null: the row is gone */
export type OnRow = (key: string, value: Buffer | null) => void;

/**
 * Calls `onRow` for everything up to the end as it is now; older values of a row that compaction has not removed yet come first.
 * Returns the reader, standing there; the caller closes it. Rejects as the reader does, e.g. `unknown-topic`.
 */
export async function readTable(log: EventLog, topic: string, onRow: OnRow): Promise<LogReader> {
  const count = await log.partitionCount(topic);
  const partitions = Array.from({ length: count }, (_, partition) => ({ topic, partition }));
  const [starts, ends] = await Promise.all([
    log.admin.listOffsets(partitions, "earliest", "read_committed"),
    log.admin.listOffsets(partitions, "latest", "read_committed"),
  ]);
  const startOf = new Map(starts.map(({ partition, offset }) => [partition, offset]));
  const left = new Map(
    ends.filter(({ partition, offset }) => offset > (startOf.get(partition) ?? 0)).map((end) => [end.partition, end.offset]),
  );
  const reader = log.reader({ isolation: "read_committed" });
  try {
    reader.assign(starts);
    while (left.size > 0) {
      await pollRows(reader, onRow, (partition, nextOffset) => {
        if (nextOffset >= (left.get(partition) ?? 0)) left.delete(partition);
      });
    }
  } catch (error) {
    await reader.close();
    throw error;
  }
  return reader;
}

/** One poll. */
export async function pollRows(reader: LogReader, onRow: OnRow, onBatch?: (partition: number, nextOffset: number) => void): Promise<void> {
  for (const { partition, records, nextOffset } of await reader.poll(POLL_WAIT_MS)) {
    for (let i = 0; i < records.count; i++) {
      const key = records.key(i);
      if (key !== null) onRow(key.toString(), records.value(i));
    }
    onBatch?.(partition, nextOffset);
  }
}
