import type { Admin, TopicDescription, TopicSpec } from "../../eventlog/port.ts";

/** One setting that is not as it must be. */
export interface TopicProblem {
  readonly topic: string;
  /** `partitions`, or Kafka's name of the setting; `exists` for a topic that is not there. */
  readonly setting: string;
  readonly wanted: string;
  readonly actual: string;
}

/** Compares what is there with what is wanted. Better than wanted (longer retention, more in sync) is no problem. */
export async function verifyTopics(admin: Admin, wanted: readonly TopicSpec[]): Promise<TopicProblem[]> {
  const found = await admin.describeTopics(wanted.map((topic) => topic.name));
  return wanted.flatMap((topic) => {
    const actual = found.find((candidate) => candidate.name === topic.name);
    if (actual === undefined) return [{ topic: topic.name, setting: "exists", wanted: "true", actual: "false" }];
    return compare(topic, actual);
  });
}

function compare(wanted: TopicSpec, actual: TopicDescription): TopicProblem[] {
  const problems: TopicProblem[] = [];
  const problem = (setting: string, want: string, is: string) => problems.push({ topic: wanted.name, setting, wanted: want, actual: is });
  if (actual.partitions !== wanted.partitions) problem("partitions", String(wanted.partitions), String(actual.partitions));
  for (const [setting, want] of Object.entries(wanted.config)) {
    const is = actual.config[setting];
    // A log that does not report a setting (the embedded one for replication) does not have it.
    if (is !== undefined && !isGoodEnough(setting, want, is)) problem(setting, AT_LEAST.has(setting) ? `at least ${want}` : want, is);
  }
  // The record's timestamp is the receive time the ingress stamped (design, section 8); the broker must not replace it.
  const timestampType = actual.config["message.timestamp.type"];
  if (timestampType !== undefined && timestampType !== "CreateTime") problem("message.timestamp.type", "CreateTime", timestampType);
  return problems;
}

const AT_LEAST: ReadonlySet<string> = new Set(["retention.ms", "min.insync.replicas", "max.message.bytes"]);

function isGoodEnough(setting: string, wanted: string, actual: string): boolean {
  if (!AT_LEAST.has(setting)) return actual === wanted;
  // retention.ms -1 is for ever.
  if (setting === "retention.ms" && (wanted === "-1" || actual === "-1")) return actual === "-1";
  return Number(actual) >= Number(wanted);
}

/** `topic iot.telemetry.raw: partitions is 1, must be 8` */
export function problemText({ topic, setting, wanted, actual }: TopicProblem): string {
  return setting === "exists" ? `topic ${topic} does not exist` : `topic ${topic}: ${setting} is ${actual}, must be ${wanted}`;
}
