/** The topics that a replay with --into writes. */
import type { EventLog } from "../../eventlog/port.ts";
import { partitionsOf } from "../application.ts";
import type { Config } from "../config/schema.ts";
import { CommandFailure } from "../failure.ts";
import { wantedTopics } from "../topics/wanted-topics.ts";

/** The job as another application: the same input, outputs, state and group of its own. */
export function intoConfig(config: Config, suffix: string): Config {
  const outputs = Object.entries(config.topics).map(([kind, name]) => [kind, kind === "raw" ? name : `${name}.${suffix}`]);
  return {
    ...config,
    applicationId: `${config.applicationId}-${suffix}`,
    topics: Object.fromEntries(outputs) as Config["topics"],
  };
}

/**
 * Makes them with as many partitions as the originals have, and keeps them for ever: history is older than a retention.
 * @throws CommandFailure `replay-topics-in-use` when one holds records, which would be doubled
 */
export async function createReplayTopics(log: EventLog, config: Config, suffix: string): Promise<void> {
  // The job's alone: commands, presence and the like are no outputs of it, keep their names, and hold records.
  const { raw: _, ...outputs } = config.topics;
  const wanted = wantedTopics(config).filter(({ name }) => Object.values(outputs).includes(name));
  const originals = await log.admin.describeTopics(wanted.map(({ name }) => withoutSuffix(name, suffix)));
  await log.admin.createTopics(
    wanted.map((topic) => ({
      ...topic,
      partitions: originals.find(({ name }) => name === withoutSuffix(topic.name, suffix))?.partitions ?? topic.partitions,
      config: { ...topic.config, "retention.ms": "-1" },
    })),
  );
  const partitions = await partitionsOf(
    log,
    wanted.map(({ name }) => name),
  );
  const ends = await log.admin.listOffsets(partitions, "latest", "read_uncommitted");
  const used = new Set(ends.filter(({ offset }) => offset > 0).map(({ topic }) => topic));
  if (used.size > 0)
    throw new CommandFailure("replay-topics-in-use", `${[...used].join(", ")} hold records already: delete them or take another suffix`);
}

function withoutSuffix(name: string, suffix: string): string {
  return name.slice(0, name.length - suffix.length - 1);
}
