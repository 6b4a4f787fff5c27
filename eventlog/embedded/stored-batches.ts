/** What is stored of a partition, batch by batch, without reading the batches. */
import type { Database } from "./database.ts";
import { TABLE, offsetOfKey, offsetRange } from "./keys.ts";
import type { Partition } from "./partition.ts";
import { INDEX_SLICE_BYTES } from "./retention.ts";
import { decodeBatchIndex } from "./rows.ts";

export interface StoredBatch {
  /** Of its first record; the partition may begin behind it. */
  readonly baseOffset: number;
  readonly nextOffset: number;
  readonly bytes: number;
  /** Epoch ms. */
  readonly maxTimestamp: number;
}

export async function* storedBatches(
  database: Database,
  { topicId, partition, stable }: Partition,
): AsyncGenerator<readonly StoredBatch[], void> {
  for await (const rows of database.slices(offsetRange(TABLE.index, topicId, partition, 0, stable), INDEX_SLICE_BYTES)) {
    yield rows.map(([key, row]) => {
      const { nextOffset, bytes, maxTimestamp } = decodeBatchIndex(row);
      return { baseOffset: offsetOfKey(key), nextOffset, bytes, maxTimestamp };
    });
  }
}
