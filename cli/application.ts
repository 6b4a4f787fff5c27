/** What one application has in the log and on this disk, apart from its workers. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { EventLog, TopicPartition } from "../eventlog/port.ts";
import { changelogTopics, repartitionTopics } from "../runtime/internal-topics.ts";
import type { Topology } from "../topology/topology.ts";
import { CommandFailure } from "./failure.ts";

export interface Application {
  readonly applicationId: string;
  /** With its names for the application. */
  readonly topology: Topology;
  /** `state.dir` of the configuration. */
  readonly stateDir: string;
  /** Topics that it reads too and that a reset leaves alone, with what came of them: no output that could be made again. */
  readonly kept: readonly string[];
}

/** Topics it reads and did not make itself. */
export function inputTopics({ topology }: Application): string[] {
  const internal = new Set(repartitionTopics(topology));
  return topology.sourceTopics.filter((topic) => !internal.has(topic));
}

export async function inputPartitions(application: Application, log: EventLog): Promise<TopicPartition[]> {
  return partitionsOf(log, inputTopics(application));
}

/** Those of its internal topics that exist. */
export async function existingInternalTopics({ topology, applicationId }: Application, log: EventLog): Promise<string[]> {
  const names = [...changelogTopics(topology, applicationId), ...repartitionTopics(topology)];
  return names.length === 0 ? [] : (await log.admin.describeTopics(names)).map(({ name }) => name);
}

/** The directory of its local state; undefined when there is none here. */
export function localState({ stateDir, applicationId }: Application): string | undefined {
  const directory = join(stateDir, applicationId);
  return existsSync(directory) ? directory : undefined;
}

/** @throws CommandFailure `group-has-members` */
export async function requireNoMembers({ applicationId }: Application, log: EventLog): Promise<void> {
  const members = await log.admin.groupMembers(applicationId);
  if (members.length === 0) return;
  throw new CommandFailure(
    "group-has-members",
    `group ${applicationId} has members: ${members.join(", ")}. Stop all its workers first ` +
      "(one with an instanceId counts until kafka.sessionTimeoutMs after its stop)",
  );
}

/** What dead workers left open would else commit their offsets later, into what was reset. */
export async function endOpenTransactions({ applicationId }: Application, log: EventLog): Promise<void> {
  for (const transactionalId of await log.admin.openTransactions(`${applicationId}/`)) await log.admin.fence(transactionalId);
}

export async function partitionsOf(log: EventLog, topics: readonly string[]): Promise<TopicPartition[]> {
  const counts = await Promise.all(topics.map((topic) => log.partitionCount(topic)));
  return topics.flatMap((topic, index) => Array.from({ length: counts[index] }, (_, partition) => ({ topic, partition })));
}
