/**
 * The peers' job (`shared/peers/stream-job`) and nothing else, on our library: normalize, exact dedupe, 10 s windows; no newest values,
 * no history of windows, no HTTP. Run by `stream-job.ts --job peers` in place of `sluice worker`, with the same configuration.
 *
 *     node bench/peer-job.ts worker --config FILE
 */
import { parseArgs } from "node:util";
import { commandContext } from "../cli/command-options.ts";
import { openKafka } from "../cli/open-kafka.ts";
import { runService } from "../cli/service.ts";
import { decode } from "../processors/decode.ts";
import { dedupe } from "../processors/dedupe.ts";
import { jsonSerdes } from "../processors/json-serdes.ts";
import { normalize } from "../processors/normalize.ts";
import type { JobSettings } from "../processors/settings.ts";
import { sourceKey } from "../processors/source-key.ts";
import { validate } from "../processors/validate.ts";
import { windows } from "../processors/windows.ts";
import { Worker } from "../runtime/worker.ts";
import { serdes } from "../state/serdes.ts";
import { StreamsBuilder } from "../topology/streams-builder.ts";
import type { Topology } from "../topology/topology.ts";

function peerTopology({
  topics,
  validation,
  dedupe: dedupeSettings,
  profiles,
  windows: windowSettings,
  processing,
}: JobSettings): Topology {
  const key = serdes.string;
  const builder = new StreamsBuilder();
  const raw = builder.stream(topics.raw, { key: sourceKey, value: serdes.slice, name: "raw", streamTime: "processor" });
  const { events } = raw.process(decode({ maxValueBytes: validation.maxValueBytes }));
  const { valid } = events.process(validate({ maxFutureMs: validation.maxFutureMs, profiles }));
  const { unique } = valid.process(normalize()).normalized.process(dedupe(dedupeSettings));
  const { normalized, aggregates } = unique.process(windows({ windows: windowSettings, idleCloseMs: processing.idleCloseMs }));
  normalized.to(topics.normalized, { key, value: jsonSerdes.normalized, name: "normalized-sink" });
  aggregates.to(topics.aggregates, { key, value: jsonSerdes.aggregate, name: "aggregates-sink" });
  return builder.build();
}

const { values } = parseArgs({ options: { config: { type: "string" } }, allowPositionals: true });
const { config, logger } = commandContext({ config: values.config });
process.exitCode = await runService(
  async (closers) => {
    const log = openKafka(config, logger);
    closers.push("kafka", () => log.close());
    const worker = new Worker({
      applicationId: config.applicationId,
      instanceId: config.instanceId,
      topology: peerTopology(config),
      log,
      state: config.state,
      processing: config.processing,
      sessionTimeoutMs: config.kafka.sessionTimeoutMs,
      deadLetterTopic: config.topics.dlq,
      logger,
    });
    closers.push("worker", () => worker.stop());
    await worker.start();
    return { finished: worker.finished };
  },
  { logger },
);
