import { commandContext, type CommonOptions } from "../command-options.ts";
import { executePurge, planPurge, type PurgeRange } from "../dlq/purge.ts";
import { EXIT } from "../exit-codes.ts";
import type { LogPosition } from "../log-position.ts";
import { openKafka } from "../open-kafka.ts";

export interface PurgeOptions extends CommonOptions {
  readonly before: LogPosition;
  readonly partition?: number;
  readonly yes?: boolean;
}

/** `sluice dlq purge`: deletes the oldest letters. Without --yes only says what it would do. */
export async function run({ before, partition, yes = false, ...options }: PurgeOptions): Promise<number> {
  const { config, logger, output } = commandContext(options, { quietLevel: "warn" });
  const log = openKafka(config, logger);
  try {
    const ranges = await planPurge(log, config.topics.dlq, before, partition);
    if (yes) await executePurge(log, ranges);
    output.result(planText(ranges, yes), { done: yes, ranges });
    return EXIT.ok;
  } finally {
    await log.close();
  }
}

function planText(ranges: readonly PurgeRange[], done: boolean): string {
  if (ranges.length === 0) return "there is nothing before that";
  const lines = ranges.map(
    ({ topic, partition, from, to }) => `${done ? "deleted" : "delete"} ${topic}/${partition}: offsets ${from} to ${to - 1}`,
  );
  return [...lines, ...(done ? [] : ["nothing was changed: --yes does it"])].join("\n");
}
