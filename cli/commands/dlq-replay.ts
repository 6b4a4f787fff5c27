import { tenantRawTopics } from "../../bridge/admission/settings.ts";
import { buildTelemetryTopology } from "../../processors/telemetry-topology.ts";
import { commandContext } from "../command-options.ts";
import { filterOf, type FilterOptions } from "../dlq/options.ts";
import { REFUSALS, type Refusal } from "../dlq/refusals.ts";
import { replayLetters, type ReplayResult } from "../dlq/replay.ts";
import { EXIT } from "../exit-codes.ts";
import { openKafka } from "../open-kafka.ts";
import { toStderr } from "../output.ts";

/** Between two lines of progress. */
const PROGRESS_MS = 1_000;

export interface ReplayLettersOptions extends FilterOptions {
  readonly limit?: number;
  readonly dryRun?: boolean;
}

/**
 * `sluice dlq replay`: original records back to their topics. Letters that cannot go back are counted and no failure; exit code 1 when
 * it was told to stop before the end.
 */
export async function run(options: ReplayLettersOptions): Promise<number> {
  const { config, logger, output } = commandContext(options, { quietLevel: "warn" });
  const { applicationId, topics } = config;
  const { limit = Infinity, dryRun = false } = options;
  const stopping = new AbortController();
  const onSignal = (): void => stopping.abort();
  process.on("SIGTERM", onSignal).on("SIGINT", onSignal);
  const log = openKafka(config, logger);
  try {
    let spokenAt = -Infinity;
    const result = await replayLetters(log, {
      applicationId,
      dlqTopic: topics.dlq,
      rawTopic: topics.raw,
      tenantRawTopics: tenantRawTopics(config.admission),
      sourceTopics: buildTelemetryTopology(config).forApplication(applicationId).sourceTopics,
      filter: filterOf(options),
      limit,
      dryRun,
      replicationFactor: config.topicDefaults.replicationFactor,
      signal: stopping.signal,
      progress({ replayed }, done, total) {
        const now = performance.now();
        if (now - spokenAt < PROGRESS_MS) return;
        spokenAt = now;
        toStderr(`${done} of ${total} offsets, ${replayed} records ${dryRun ? "to put back" : "put back"}`);
      },
    });
    output.result(resultText(result, dryRun), { applicationId, dryRun, ...result });
    if (!stopping.signal.aborted) return EXIT.ok;
    toStderr("interrupted: the same command goes on from here");
    return EXIT.failure;
  } finally {
    await log.close();
    process.removeListener("SIGTERM", onSignal).removeListener("SIGINT", onSignal);
  }
}

function resultText({ matched, replayed, already, refused, byReason, complete }: ReplayResult, dryRun: boolean): string {
  const lines = [
    `${matched} letters match: ${replayed} records ${dryRun ? "would be put back" : "put back"}, ${already} put back before`,
    ...Object.entries(byReason).map(([reason, count]) => `  ${reason}: ${count}`),
    ...Object.entries(refused).map(([code, count]) => `  not put back: ${count} ${code} (${REFUSALS[code as Refusal]})`),
  ];
  if (!complete) lines.push("  the rest was not looked at");
  if (dryRun) lines.push("nothing was changed: the same without --dry-run does it");
  return lines.join("\n");
}
