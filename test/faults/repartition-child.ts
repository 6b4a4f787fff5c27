/** A worker over the site-counting topology on Kafka, to be killed. Arguments: brokers, application id, input, output, state directory. */
import { pino } from "pino";
import { KafkaLog } from "../../eventlog/kafka/kafka-log.ts";
import { Worker } from "../../runtime/worker.ts";
import { siteTopology } from "../support/site-counts.ts";

const [brokers, applicationId, input, output, dir] = process.argv.slice(2);
const logger = pino({ level: "warn" }, pino.destination({ dest: 2, sync: true }));
const log = new KafkaLog({ brokers: brokers.split(","), clientId: applicationId, logger });
const worker = new Worker({
  applicationId,
  instanceId: "w1",
  topology: siteTopology(input, output),
  log,
  state: { dir, engine: "level", cacheMiB: 4 },
  // one small commit at a time, so that kills fall into all its steps
  processing: { guarantee: "exactly-once", commitIntervalMs: 20, repartitionPurgeIntervalMs: 100 },
  sessionTimeoutMs: 6_000,
  logger,
});
worker.onStateChange((state) => process.stdout.write(`${state}\n`));
process.once("SIGTERM", () => void worker.stop().then(() => log.close()));
await worker.start();
await worker.finished;
