import { commandContext } from "../command-options.ts";
import { letterData, letterLine } from "../dlq/letter.ts";
import { filterOf, type FilterOptions } from "../dlq/options.ts";
import { scanLetters } from "../dlq/scan.ts";
import { EXIT } from "../exit-codes.ts";
import { openKafka } from "../open-kafka.ts";
import { toStderr } from "../output.ts";

export interface ListOptions extends FilterOptions {
  readonly limit: number;
}

/** `sluice dlq list`: a line a letter; with --json, a JSON line each. */
export async function run(options: ListOptions): Promise<number> {
  const { config, logger, output } = commandContext(options, { quietLevel: "warn" });
  const log = openKafka(config, logger);
  try {
    let shown = 0;
    for await (const { letters } of scanLetters(log, config.topics.dlq, filterOf(options))) {
      for (const letter of letters.slice(0, options.limit - shown)) output.result(letterLine(letter), letterData(letter));
      shown += letters.length;
      if (shown > options.limit) break;
    }
    if (!output.json) toStderr(shown > options.limit ? `more than ${options.limit}: --limit shows more` : `${shown} letters`);
    return EXIT.ok;
  } finally {
    await log.close();
  }
}
