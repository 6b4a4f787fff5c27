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
import { Worker } from "../runtime/worker.ts";
import { peerTopology } from "./peer-topology.ts";

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
