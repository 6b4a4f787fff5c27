/** Turns built batches into database rows with offsets. */
import { LogError } from "../errors.ts";
import type { Compression, WrittenRange } from "../port.ts";
import type { BatchBuilder } from "../records/batch-builder.ts";
import { AT, writeInt64 } from "../records/batch-format.ts";
import { encodeBatch } from "../records/encode-batch.ts";
import type { Database, Operation } from "./database.ts";
import { TABLE, offsetKey } from "./keys.ts";
import type { Partition, Reservation } from "./partition.ts";
import { encodeBatchIndex } from "./rows.ts";
import type { Topics } from "./topics.ts";

/** Rows whose offsets are reserved: `decide` must be called when they are written or given up. */
export interface StagedAppend {
  readonly operations: Operation[];
  readonly ranges: readonly WrittenRange[];
  readonly reserved: readonly { readonly partition: Partition; readonly reservation: Reservation }[];
  readonly bytes: number;
}

interface EncodedBatch {
  readonly bytes: Buffer;
  readonly recordCount: number;
  readonly maxTimestamp: number;
}

/**
 * @param own copy the bytes, because they must outlive the builders' next clear()
 * Throws `unknown-topic` or `record-too-large`; then no offset has been taken.
 */
export function stageAppend(topics: Topics, builders: Iterable<BatchBuilder>, compression: Compression, own: boolean): StagedAppend {
  const encoded: { partition: Partition; batches: EncodedBatch[]; recordCount: number }[] = [];
  for (const builder of builders) {
    if (builder.recordCount === 0) continue;
    const partition = topics.partition(builder);
    const batches = builder.batches.map((pending): EncodedBatch => {
      const bytes = encodeBatch(pending, { compression });
      if (bytes.length > partition.config.maxMessageBytes) throw tooLarge(partition, bytes.length, pending.recordCount);
      return {
        bytes: own && bytes.buffer === pending.buffer.buffer ? Buffer.from(bytes) : bytes,
        recordCount: pending.recordCount,
        maxTimestamp: pending.maxTimestamp,
      };
    });
    encoded.push({ partition, batches, recordCount: builder.recordCount });
  }

  const operations: Operation[] = [];
  const ranges: WrittenRange[] = [];
  const reserved: { partition: Partition; reservation: Reservation }[] = [];
  let total = 0;
  for (const { partition, batches, recordCount } of encoded) {
    const reservation = partition.reserve(recordCount);
    reserved.push({ partition, reservation });
    const { topic, topicId, partition: number } = partition;
    let offset = reservation.baseOffset;
    for (const { bytes, recordCount: count, maxTimestamp } of batches) {
      writeInt64(bytes, offset, AT.baseOffset); // not under the checksum
      const index = encodeBatchIndex({ nextOffset: offset + count, maxTimestamp, bytes: bytes.length, tombstonesSeenAt: 0 });
      operations.push({ type: "put", key: offsetKey(TABLE.batch, topicId, number, offset), value: bytes });
      operations.push({ type: "put", key: offsetKey(TABLE.index, topicId, number, offset), value: index });
      offset += count;
      total += bytes.length;
    }
    ranges.push({ topic, partition: number, baseOffset: reservation.baseOffset, nextOffset: offset });
  }
  return { operations, ranges, reserved, bytes: total };
}

/** Makes what was staged visible to readers once it is written, or passes over it once it is given up for good. */
export function decideAppend(staged: StagedAppend): void {
  for (const { partition, reservation } of staged.reserved) partition.decide(reservation);
}

/**
 * Writes what was staged in one go. When that fails nobody knows what a restart will find, so the offsets stay undecided
 * and readers stop before them.
 */
export async function writeStaged(database: Database, appends: readonly StagedAppend[]): Promise<void> {
  const operations = appends.length === 1 ? appends[0].operations : appends.flatMap((staged) => staged.operations);
  if (operations.length > 0) await database.write(operations);
  for (const staged of appends) decideAppend(staged);
}

export function tooLarge(partition: Partition, bytes: number, records: number): LogError {
  const limit = partition.config.maxMessageBytes;
  return new LogError("record-too-large", `a batch of ${bytes} bytes is over max.message.bytes (${limit}) of topic ${partition.topic}`, {
    partitions: [{ topic: partition.topic, partition: partition.partition }],
    refused: { bytes, records },
  });
}
