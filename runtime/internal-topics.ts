/** Changelog topics and the partition counts everything else depends on. */
import type { EventLog, TopicSpec } from "../eventlog/port.ts";
import { CHANGELOG_TOPIC_CONFIG, changelogTopic } from "../state/changelog.ts";
import type { Topology } from "../topology/topology.ts";
import { RuntimeError } from "./errors.ts";

export interface TaskId {
  readonly id: string;
  readonly subtopology: number;
  readonly partition: number;
}

/** A sub-topology has as many tasks as its sources have partitions; they must agree (co-partitioning). */
export async function listTasks(topology: Topology, log: EventLog): Promise<TaskId[]> {
  const tasks: TaskId[] = [];
  for (const subtopology of topology.subtopologies) {
    const counts = await Promise.all(subtopology.sources.map((source) => log.partitionCount(source.topic)));
    if (new Set(counts).size > 1) {
      const list = subtopology.sources.map((source, index) => `${source.topic}: ${counts[index]}`).join(", ");
      throw new RuntimeError(
        "topology-mismatch",
        `the source topics of sub-topology ${subtopology.id} need the same number of partitions (${list})`,
      );
    }
    for (let partition = 0; partition < counts[0]; partition++)
      tasks.push({ id: `${subtopology.id}_${partition}`, subtopology: subtopology.id, partition });
  }
  return tasks;
}

/** Makes missing changelogs; refuses one whose partition count does not fit, since keys would restore elsewhere. */
export async function createChangelogs(topology: Topology, log: EventLog, applicationId: string): Promise<void> {
  const wanted: TopicSpec[] = [];
  for (const subtopology of topology.subtopologies) {
    const partitions = await log.partitionCount(subtopology.sources[0].topic);
    for (const store of subtopology.stores)
      if (store.changelog) wanted.push({ name: changelogTopic(applicationId, store.name), partitions, config: CHANGELOG_TOPIC_CONFIG });
  }
  if (wanted.length === 0) return;
  await log.admin.createTopics(wanted);
  const found = await log.admin.describeTopics(wanted.map((topic) => topic.name));
  for (const topic of wanted) {
    const actual = found.find((candidate) => candidate.name === topic.name);
    if (actual !== undefined && actual.partitions !== topic.partitions) {
      const why = `changelog ${topic.name} has ${actual.partitions} partitions, its source ${topic.partitions}`;
      throw new RuntimeError(
        "topology-mismatch",
        `${why}: state would be restored into the wrong task; reset the application or restore the partition count`,
      );
    }
  }
}
