/** Drops the oldest batches of a partition by age and size. */
import type { Database, Operation } from "./database.ts";
import { TABLE, offsetKey, offsetOfKey, offsetRange } from "./keys.ts";
import type { Partition } from "./partition.ts";
import type { PartitionRows } from "./partition-rows.ts";
import { decodeBatchIndex } from "./rows.ts";

/** Index rows are 45 bytes: a slice is about 5,000 of them, a few milliseconds. */
export const INDEX_SLICE_BYTES = 256 * 1024;
/** Deletes of one database write. */
const MAX_DELETES = 2000;

/** Returns how many batches went. Only decided offsets are touched, oldest first, so what is left stays contiguous. */
export async function applyRetention(database: Database, partitionRows: PartitionRows, partition: Partition, now: number): Promise<number> {
  const { retentionMs, retentionBytes, delete: enabled } = partition.config;
  if (!enabled || (retentionMs === undefined && retentionBytes === undefined)) return 0;
  const { topicId, partition: number, stable } = partition;
  const range = offsetRange(TABLE.index, topicId, number, 0, stable);

  let excess = -Infinity;
  if (retentionBytes !== undefined) {
    let total = 0;
    for await (const rows of database.slices(range, INDEX_SLICE_BYTES)) for (const [, row] of rows) total += decodeBatchIndex(row).bytes;
    excess = total - retentionBytes;
  }
  const oldest = retentionMs === undefined ? -Infinity : now - retentionMs;

  let dropped = 0;
  for await (const rows of database.slices(range, INDEX_SLICE_BYTES)) {
    const deletes: Operation[] = [];
    let start = partition.start;
    let done = false;
    for (const [key, row] of rows) {
      const { maxTimestamp, bytes, nextOffset } = decodeBatchIndex(row);
      if (maxTimestamp >= oldest && excess <= 0) {
        done = true;
        break;
      }
      excess -= bytes;
      start = nextOffset;
      const offset = offsetOfKey(key);
      deletes.push({ type: "del", key: offsetKey(TABLE.batch, topicId, number, offset) }, { type: "del", key });
      dropped++;
      if (deletes.length >= MAX_DELETES) await dropUpTo(partitionRows, partition, start, deletes.splice(0));
    }
    if (deletes.length > 0) await dropUpTo(partitionRows, partition, start, deletes);
    if (done) break;
  }
  return dropped;
}

/** Makes `offset` the first that is kept; whole batches before it go. */
export async function dropBefore(database: Database, rows: PartitionRows, partition: Partition, offset: number): Promise<void> {
  const { topicId, partition: number } = partition;
  await dropUpTo(rows, partition, offset, []);
  for await (const slice of database.slices(offsetRange(TABLE.index, topicId, number, 0, offset), INDEX_SLICE_BYTES)) {
    const deletes: Operation[] = [];
    for (const [key, row] of slice) {
      if (decodeBatchIndex(row).nextOffset > offset) break;
      deletes.push({ type: "del", key: offsetKey(TABLE.batch, topicId, number, offsetOfKey(key)) }, { type: "del", key });
      if (deletes.length >= MAX_DELETES) await dropUpTo(rows, partition, offset, deletes.splice(0));
    }
    if (deletes.length > 0) await dropUpTo(rows, partition, offset, deletes);
  }
}

async function dropUpTo(rows: PartitionRows, partition: Partition, start: number, deletes: Operation[]): Promise<void> {
  partition.start = Math.max(partition.start, start); // retention and deleteRecords may be at it at once
  await rows.save([partition], deletes);
}
