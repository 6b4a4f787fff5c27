/** The topics an application makes for itself, changelogs and repartition topics, and the tasks that follow from partition counts. */
import type { EventLog, TopicSpec } from "../eventlog/port.ts";
import { CHANGELOG_TOPIC_CONFIG, changelogTopic } from "../state/changelog.ts";
import type { Topology } from "../topology/topology.ts";
import { RuntimeError } from "./errors.ts";
import { countPartitions } from "./sub-topology-partitions.ts";
import { taskIdOf, type TaskId } from "./task-id.ts";

/**
 * Nothing goes by time: records carry event times, and a replay of last year's data would be gone before it is read. What has
 * been processed is purged (repartition-purger.ts). Kafka's topic configuration names, values as Kafka Streams has them.
 */
export const REPARTITION_TOPIC_CONFIG: Readonly<Record<string, string>> = {
  "cleanup.policy": "delete",
  "retention.ms": "-1",
  "retention.bytes": "-1",
  "segment.bytes": String(50 << 20),
};

/** A sub-topology has as many tasks as its sources have partitions. */
export async function listTasks(topology: Topology, log: EventLog): Promise<TaskId[]> {
  const counts = await countPartitions(topology, (topic) => log.partitionCount(topic));
  return topology.subtopologies.flatMap(({ id: subtopology }) =>
    Array.from({ length: counts[subtopology] }, (_, partition) => taskIdOf(subtopology, partition)),
  );
}

/** Of a topology that is named for its application. */
export function repartitionTopics(topology: Topology): string[] {
  return topology.subtopologies.flatMap(({ sources }) =>
    sources.filter((source) => source.repartition !== undefined).map((source) => source.topic),
  );
}

/** Makes those that are missing; refuses one whose partition count does not fit: keys would be looked for in the wrong task. */
export async function createInternalTopics(topology: Topology, log: EventLog, applicationId: string): Promise<void> {
  const counts = await countPartitions(topology, (topic) => log.partitionCount(topic));
  const wanted = topology.subtopologies.flatMap(({ id, sources, stores }): TopicSpec[] => [
    ...sources
      .filter((source) => source.repartition !== undefined)
      .map((source) => ({ name: source.topic, partitions: counts[id], config: REPARTITION_TOPIC_CONFIG })),
    ...stores
      .filter((store) => store.changelog)
      .map((store) => ({ name: changelogTopic(applicationId, store.name), partitions: counts[id], config: CHANGELOG_TOPIC_CONFIG })),
  ]);
  if (wanted.length === 0) return;
  await log.admin.createTopics(wanted);
  const found = await log.admin.describeTopics(wanted.map((topic) => topic.name));
  for (const topic of wanted) {
    const actual = found.find((candidate) => candidate.name === topic.name);
    if (actual === undefined || actual.partitions === topic.partitions) continue;
    throw new RuntimeError(
      "topology-mismatch",
      `internal topic ${topic.name} has ${actual.partitions} partitions where ${topic.partitions} are needed: ` +
        "reset the application (sluice reset) or restore the partition count",
    );
  }
}

/** Of a topology that is named for its application. */
export function changelogTopics(topology: Topology, applicationId: string): string[] {
  return topology.subtopologies.flatMap(({ stores }) =>
    stores.filter((store) => store.changelog).map((store) => changelogTopic(applicationId, store.name)),
  );
}
