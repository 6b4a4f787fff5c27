import { commandContext, type CommonOptions } from "../command-options.ts";
import { openKafka } from "../open-kafka.ts";
import { runService } from "../service.ts";
import { requireTopics } from "../topics/require-topics.ts";
import { startWorkerService } from "../worker-service.ts";

/** `sluice worker`: processes telemetry on Kafka and serves the HTTP API, until it is told to stop. */
export async function run(options: CommonOptions): Promise<number> {
  const { config, logger } = commandContext(options);
  return runService(
    async (closers) => {
      const log = openKafka(config, logger);
      closers.push("kafka", () => log.close());
      await requireTopics(log.admin, config);
      const { worker } = await startWorkerService(config, log, logger, closers);
      return { finished: worker.finished };
    },
    { logger },
  );
}
