import type { EventLog } from "../../eventlog/port.ts";
import { partitionsOf } from "../application.ts";
import { resolvePosition, type LogPosition } from "../log-position.ts";

/** One partition's records that go: from its first up to `to`, which stays. */
export interface PurgeRange {
  readonly topic: string;
  readonly partition: number;
  readonly from: number;
  readonly to: number;
}

/**
 * A log is only shortened at its beginning, so nothing here goes by reason or device. For a time: everything before the first
 * record that is not older (of the originals' receive times, which the letters have), so that none is deleted that is younger.
 */
export async function planPurge(log: EventLog, topic: string, before: LogPosition, partition?: number): Promise<PurgeRange[]> {
  const partitions = (await partitionsOf(log, [topic])).filter((one) => partition === undefined || one.partition === partition);
  const [starts, ends] = await Promise.all([
    log.admin.listOffsets(partitions, "earliest", "read_committed"),
    resolvePosition(log.admin, partitions, before),
  ]);
  return starts.flatMap((start, index) => {
    const to = ends[index].offset;
    return to > start.offset ? [{ topic, partition: start.partition, from: start.offset, to }] : [];
  });
}

export async function executePurge(log: EventLog, ranges: readonly PurgeRange[]): Promise<void> {
  if (ranges.length === 0) return;
  await log.admin.deleteRecords(ranges.map(({ topic, partition, to }) => ({ topic, partition, offset: to })));
}
