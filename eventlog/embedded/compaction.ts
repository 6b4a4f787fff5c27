/**
 * Keeps the newest record of each key. Source: "Log Compaction" of Kafka's design page, LogCleaner.java.
 *
 * Pass 1 notes the last offset of every key since the last compaction; pass 2 rewrites the batches from the start and
 * leaves out what is superseded. Batches keep their offsets, so readers' positions stay right. Only decided offsets are
 * looked at. Each batch is replaced by an atomic write, and never before the record that supersedes it is durable, so
 * a crash anywhere leaves a correct log.
 */
import { parseBatches } from "../records/parse-batches.ts";
import type { RecordsView } from "../records/view.ts";
import type { Database, Operation } from "./database.ts";
import { TABLE, offsetKey, offsetOfKey, offsetRange } from "./keys.ts";
import type { Partition } from "./partition.ts";
import type { PartitionRows } from "./partition-rows.ts";
import { INDEX_SLICE_BYTES } from "./retention.ts";
import { rewriteBatch } from "./rewrite-batch.ts";
import { decodeBatchIndex, encodeBatchIndex } from "./rows.ts";

/** Batches read at a time; parsing one slice takes a few milliseconds. */
const BATCH_SLICE_BYTES = 512 * 1024;
/** Keys noted in one go, about 100 bytes each; a partition with more is compacted in several goes. */
const MAX_KEYS = 1_000_000;

/** Returns how many records went. */
export async function compactPartition(
  database: Database,
  partitionRows: PartitionRows,
  partition: Partition,
  now: number,
): Promise<number> {
  const { config, topicId, partition: number } = partition;
  if (!config.compact || !(await isDue(database, partition, now))) return 0;
  const { newest, to } = await noteKeys(database, partition);
  let dropped = 0;
  for await (const rows of database.slices(offsetRange(TABLE.batch, topicId, number, partition.start, to), BATCH_SLICE_BYTES)) {
    const operations: Operation[] = [];
    for (const [key, bytes] of rows) {
      const base = offsetOfKey(key);
      const indexKey = offsetKey(TABLE.index, topicId, number, base);
      const indexRow = await database.get(indexKey);
      if (indexRow === undefined) continue; // retention took it meanwhile
      const index = decodeBatchIndex(indexRow);
      const tombstonesDue = index.tombstonesSeenAt > 0 && index.tombstonesSeenAt + config.deleteRetentionMs <= now;
      const [batch] = parseBatches(bytes, 0, bytes.length, { partialTail: "error" });
      const view = batch.records();
      const { kept, tombstones } = choose(view, newest, tombstonesDue);
      const stillSeen = tombstones > 0 && index.tombstonesSeenAt === 0 ? now : index.tombstonesSeenAt;
      dropped += view.count - kept.count;
      if (kept.count === 0) operations.push({ type: "del", key }, { type: "del", key: indexKey });
      else if (kept.count < view.count) {
        const rewritten = rewriteBatch(batch, view, kept.records);
        const row = encodeBatchIndex({
          nextOffset: index.nextOffset,
          maxTimestamp: rewritten.maxTimestamp,
          bytes: rewritten.bytes.length,
          tombstonesSeenAt: stillSeen,
        });
        operations.push({ type: "put", key, value: rewritten.bytes }, { type: "put", key: indexKey, value: row });
      } else if (stillSeen !== index.tombstonesSeenAt) {
        operations.push({ type: "put", key: indexKey, value: encodeBatchIndex({ ...index, tombstonesSeenAt: stillSeen }) });
      }
    }
    if (operations.length > 0) await partitionRows.save([partition], operations);
    if (partition.deleted) return dropped;
  }
  partition.compactedTo = Math.max(partition.compactedTo, to);
  await partitionRows.save([partition]);
  return dropped;
}

/** Enough that is new, or tombstones whose time is up. */
async function isDue(database: Database, partition: Partition, now: number): Promise<boolean> {
  const { topicId, partition: number, compactedTo, config } = partition;
  let total = 0;
  let dirty = 0;
  for await (const rows of database.slices(offsetRange(TABLE.index, topicId, number, 0, partition.stable), INDEX_SLICE_BYTES)) {
    for (const [key, row] of rows) {
      const { bytes, tombstonesSeenAt } = decodeBatchIndex(row);
      if (tombstonesSeenAt > 0 && tombstonesSeenAt + config.deleteRetentionMs <= now) return true;
      total += bytes;
      if (offsetOfKey(key) >= compactedTo) dirty += bytes;
    }
  }
  return dirty > 0 && dirty / total >= config.minCleanableDirtyRatio;
}

/** Last offset per key in what is new, up to `to`. */
async function noteKeys(database: Database, partition: Partition): Promise<{ newest: Map<string, number>; to: number }> {
  const { topicId, partition: number, stable } = partition;
  const newest = new Map<string, number>();
  let to = Math.max(partition.compactedTo, partition.start);
  for await (const rows of database.slices(offsetRange(TABLE.batch, topicId, number, to, stable), BATCH_SLICE_BYTES)) {
    for (const [, bytes] of rows) {
      const [batch] = parseBatches(bytes, 0, bytes.length, { partialTail: "error" });
      const view = batch.records();
      for (let i = 0; i < view.count; i++) {
        const name = keyName(view, i);
        if (name !== undefined) newest.set(name, view.offsets[i]);
      }
      to = batch.nextOffset;
      if (newest.size >= MAX_KEYS) return { newest, to };
    }
  }
  return { newest, to: Math.max(to, stable) };
}

function choose(
  view: RecordsView,
  newest: ReadonlyMap<string, number>,
  tombstonesDue: boolean,
): { kept: { count: number; records: Uint8Array }; tombstones: number } {
  const records = new Uint8Array(view.count);
  let count = 0;
  let tombstones = 0;
  for (let i = 0; i < view.count; i++) {
    const name = keyName(view, i);
    const last = name === undefined ? undefined : newest.get(name);
    if (last !== undefined && last > view.offsets[i]) continue;
    if (name !== undefined && view.valueStarts[i] < 0) {
      if (tombstonesDue) continue;
      tombstones++;
    }
    records[i] = 1;
    count++;
  }
  return { kept: { count, records }, tombstones };
}

/** Undefined for a record without a key: nothing can supersede it, so it stays. */
function keyName(view: RecordsView, index: number): string | undefined {
  const start = view.keyStarts[index];
  return start < 0 ? undefined : view.bytes.toString("latin1", start, view.keyEnds[index]);
}
