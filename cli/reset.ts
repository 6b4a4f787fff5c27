/** Back to the state of an application that never ran: what that takes, and doing it. */
import { rm } from "node:fs/promises";
import type { CommittedOffset, EventLog, PartitionOffset } from "../eventlog/port.ts";
import {
  endOpenTransactions,
  existingInternalTopics,
  inputPartitions,
  localState,
  partitionsOf,
  requireNoMembers,
  type Application,
} from "./application.ts";
import { resolvePosition, type LogPosition } from "./log-position.ts";

export interface ResetPlan {
  /** Where each input partition is committed (null: nowhere), and where it will be. */
  readonly offsets: readonly { readonly topic: string; readonly partition: number; readonly from: number | null; readonly to: number }[];
  /** Where the topics that are left alone are committed, and will be. */
  readonly kept: readonly CommittedOffset[];
  /** Internal topics that will be deleted. */
  readonly topics: readonly string[];
  /** The local directory that will be deleted. */
  readonly state: string | null;
}

/** Changes nothing. @throws CommandFailure `group-has-members` */
export async function planReset(application: Application, log: EventLog, to: LogPosition): Promise<ResetPlan> {
  await requireNoMembers(application, log);
  const partitions = await inputPartitions(application, log);
  const committed = await log.admin.groupOffsets(application.applicationId, partitions);
  const targets = await resolvePosition(log.admin, partitions, to);
  const offsetIn = (list: readonly PartitionOffset[], topic: string, partition: number): number | undefined =>
    list.find((entry) => entry.topic === topic && entry.partition === partition)?.offset;
  return {
    offsets: partitions.map(({ topic, partition }) => ({
      topic,
      partition,
      from: offsetIn(committed, topic, partition) ?? null,
      to: offsetIn(targets, topic, partition) ?? 0,
    })),
    kept: await log.admin.groupOffsets(application.applicationId, await partitionsOf(log, application.kept)),
    topics: await existingInternalTopics(application, log),
    state: localState(application) ?? null,
  };
}

/**
 * Each step may be done again, so a reset that was interrupted is repaired by another. The group goes first: the log refuses
 * that when a worker has joined meanwhile. Offsets are set last, without the task clocks that were kept with the old ones.
 */
export async function executeReset(
  application: Application,
  log: EventLog,
  plan: ResetPlan,
  progress: (line: string) => void,
): Promise<void> {
  const { applicationId } = application;
  await endOpenTransactions(application, log);
  progress("deleting the group's offsets");
  await log.admin.deleteGroupOffsets(applicationId);
  if (plan.topics.length > 0) {
    progress(`deleting ${plan.topics.length} internal topics`);
    await log.admin.deleteTopics(plan.topics);
  }
  if (plan.state !== null) {
    progress(`deleting ${plan.state}`);
    await rm(plan.state, { recursive: true, force: true });
  }
  progress("setting the offsets");
  await log.admin.setGroupOffsets(applicationId, [
    ...plan.offsets.map(({ topic, partition, to }) => ({ topic, partition, offset: to })),
    ...plan.kept,
  ]);
}
