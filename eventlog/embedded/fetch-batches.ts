/** Reads stored batches of one partition from an offset on. */
import { LogError } from "../errors.ts";
import type { FetchedBatch } from "../port.ts";
import { parseBatches } from "../records/parse-batches.ts";
import { EMPTY_RECORDS } from "../records/view.ts";
import type { Database } from "./database.ts";
import { TABLE, offsetKey, offsetOfKey, offsetRange } from "./keys.ts";
import type { Partition } from "./partition.ts";

export interface Fetched {
  readonly batches: readonly FetchedBatch[];
  readonly bytes: number;
  readonly nextOffset: number;
}

/**
 * About `maxBytes` of batches below the last stable offset, at least one if there is one. Where nothing is stored up to
 * there (aborted, compacted away) the answer is one empty batch whose `nextOffset` is past the gap. Never waits.
 * @param aligned `from` is where a batch ended, so none can reach over it
 * Throws `offset-out-of-range`.
 */
export async function fetchBatches(
  database: Database,
  partition: Partition,
  from: number,
  aligned: boolean,
  maxBytes: number,
): Promise<Fetched> {
  if (from < partition.start || from > partition.end) throw outOfRange(partition, from);
  const stable = partition.stable;
  if (from >= stable) return { batches: [], bytes: 0, nextOffset: from };
  const { topic, topicId, partition: number } = partition;
  const begin = aligned ? from : await batchAround(database, partition, from);
  const rows = await database.first(offsetRange(TABLE.batch, topicId, number, begin, stable), maxBytes);
  const batches: FetchedBatch[] = [];
  let bytes = 0;
  let nextOffset = from;
  for (const [, row] of rows) {
    for (const batch of parseBatches(row, 0, row.length, { partialTail: "error" })) {
      if (batch.nextOffset <= from) continue;
      nextOffset = batch.nextOffset;
      bytes += row.length;
      batches.push({ topic, partition: number, records: batch.records(from), nextOffset, highWatermark: stable, lastStableOffset: stable });
    }
  }
  if (batches.length === 0) {
    if (partition.start > from) throw outOfRange(partition, from);
    nextOffset = stable;
    batches.push({ topic, partition: number, records: EMPTY_RECORDS, nextOffset, highWatermark: stable, lastStableOffset: stable });
  }
  return { batches, bytes, nextOffset };
}

/** Base offset of the last batch that begins at or before `offset`, which may hold it; `offset` itself without one. */
async function batchAround(database: Database, partition: Partition, offset: number): Promise<number> {
  const { topicId, partition: number } = partition;
  const row = await database.last({
    gte: offsetKey(TABLE.index, topicId, number, 0),
    lt: offsetKey(TABLE.index, topicId, number, offset + 1),
  });
  return row === undefined ? offset : offsetOfKey(row[0]);
}

function outOfRange(partition: Partition, offset: number): LogError {
  const range = `${partition.start} to ${partition.end}`;
  return new LogError("offset-out-of-range", `offset ${offset} of ${partition.topic}/${partition.partition} is outside of ${range}`, {
    partitions: [{ topic: partition.topic, partition: partition.partition }],
  });
}
