/** How far a replay has come. */
import type { EventLog, PartitionOffset } from "../../eventlog/port.ts";
import { repartitionTopics } from "../../runtime/internal-topics.ts";
import { partitionsOf, type Application } from "../application.ts";

export interface ReplayRange {
  /** By partition: where it began, where it ends. */
  readonly starts: readonly PartitionOffset[];
  readonly ends: readonly PartitionOffset[];
}

export interface ReplayProgress {
  readonly done: number;
  readonly total: number;
  /** Everything is committed, what goes through repartition topics too. */
  readonly complete: boolean;
}

/** Counts offsets, of which some may have no record (aborted, compacted). */
export async function replayProgress(application: Application, log: EventLog, { starts, ends }: ReplayRange): Promise<ReplayProgress> {
  const between = await partitionsOf(log, repartitionTopics(application.topology));
  // committed first: what is committed of a topic has its output in the next topic by then
  const committed = await log.admin.groupOffsets(application.applicationId, [...ends, ...between]);
  const betweenEnds = between.length === 0 ? [] : await log.admin.listOffsets(between, "latest", "read_committed");
  const at = ({ topic, partition }: PartitionOffset): number =>
    committed.find((entry) => entry.topic === topic && entry.partition === partition)?.offset ?? 0;
  let [done, total] = [0, 0];
  for (const [index, end] of ends.entries()) {
    const start = starts[index].offset;
    total += Math.max(0, end.offset - start);
    done += Math.max(0, Math.min(at(end), end.offset) - start);
  }
  return { done, total, complete: done >= total && betweenEnds.every((end) => end.offset === 0 || at(end) >= end.offset) };
}
