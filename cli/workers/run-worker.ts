/** One worker in this process. Apart from the command: a supervisor does not load what only workers need. */
import type { Logger } from "pino";
import type { Config } from "../config/schema.ts";
import { openKafka } from "../open-kafka.ts";
import { runService } from "../service.ts";
import { requireTopics } from "../topics/require-topics.ts";
import { startWorkerService } from "../worker-service.ts";
import type { Supervised } from "./supervised.ts";

export function runWorker(config: Config, logger: Logger, supervisor?: Supervised): Promise<number> {
  return runService(
    async (closers) => {
      const log = openKafka(config, logger);
      closers.push("kafka", () => log.close());
      await requireTopics(log.admin, config);
      const { worker, url } = await startWorkerService(config, log, logger, closers);
      supervisor?.listening(url);
      return { finished: worker.finished };
    },
    { logger, stopAsked: supervisor?.stopAsked },
  );
}
