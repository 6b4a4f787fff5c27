/** What the leader has to place: all tasks, and how far their changelogs reach. */
import type { Logger } from "pino";
import type { EventLog } from "../eventlog/port.ts";
import { changelogTopic } from "../state/changelog.ts";
import type { Topology } from "../topology/topology.ts";
import { listTasks } from "./internal-topics.ts";
import type { TaskToPlace } from "./placement.ts";

/** Ends that cannot be had are 0: the tasks are placed as if nobody were behind, sooner than not at all. */
export async function tasksToPlace(
  topology: Topology,
  log: EventLog,
  applicationId: string,
  withEnds: boolean,
  logger: Logger,
): Promise<TaskToPlace[]> {
  const tasks = (await listTasks(topology, log)).map((task) => {
    const stores = topology.subtopologies[task.subtopology].stores.filter(({ changelog }) => changelog);
    return { task, changelogs: stores.map(({ name }) => ({ topic: changelogTopic(applicationId, name), partition: task.partition })) };
  });
  const partitions = withEnds ? tasks.flatMap(({ changelogs }) => changelogs) : [];
  const ends = new Map<string, number>();
  try {
    const found = partitions.length === 0 ? [] : await log.admin.listOffsets(partitions, "latest", "read_uncommitted");
    for (const { topic, partition, offset } of found) ends.set(`${topic}/${partition}`, offset);
  } catch (error) {
    logger.warn({ err: error }, "could not see where changelogs end: placing tasks without regard to it");
  }
  return tasks.map(({ task, changelogs }) => ({
    ...task,
    stateful: changelogs.length > 0,
    endOffset: changelogs.reduce((sum, { topic, partition }) => sum + (ends.get(`${topic}/${partition}`) ?? 0), 0),
  }));
}
