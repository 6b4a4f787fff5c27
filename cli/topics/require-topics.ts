import type { Admin } from "../../eventlog/port.ts";
import type { Config } from "../config/schema.ts";
import { CommandFailure } from "../failure.ts";
import { problemText, verifyTopics } from "./verify.ts";
import { wantedTopics } from "./wanted-topics.ts";

/** Refuses to go on with topics that are missing or wrong: processing would work for a while and then lose or misplace data. */
export async function requireTopics(admin: Admin, config: Config): Promise<void> {
  const found = await verifyTopics(admin, wantedTopics(config));
  const problems = found.filter((problem) => isDemanded(problem.setting, config));
  if (problems.length === 0) return;
  const lines = problems.map((problem) => `  ${problemText(problem)}`);
  throw new CommandFailure(
    "wrong-topics",
    `topics are not as configured:\n${lines.join("\n")}\n  (sluice topics create makes missing ones; existing ones are yours to alter)`,
  );
}

/** What the configuration leaves open is the topics' owner's choice: defaults only say what `topics create` makes. */
export function isDemanded(setting: string, { topicDefaults }: Config): boolean {
  if (setting === "partitions") return topicDefaults.partitions !== undefined;
  if (setting === "retention.ms") return topicDefaults.retentionMs !== undefined;
  return true;
}
