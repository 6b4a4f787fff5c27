/** Commands service and ingress in one process, to be killed: `node commands-child.ts <mqtt url> <brokers> <topic prefix>`. */
import { CleanupList } from "../support/cleanup.ts";
import { commandTopics, makeCommandService, openKafkaLog, startAckIngress } from "../support/command-rig.ts";

const [url, brokers, prefix] = process.argv.slice(2);
const topics = commandTopics(prefix);
const cleanup = new CleanupList();
const log = openKafkaLog(cleanup, brokers.split(","));
// A short window per device keeps commands waiting, sent and delivered at every moment.
const service = makeCommandService(cleanup, log, topics, url, { bounds: { deviceWindow: 4, deviceQueue: 100_000 } });
service.finished.catch((error: unknown) => {
  process.stderr.write(`${String(error)}\n`);
  process.exit(1);
});
await Promise.all([startAckIngress(cleanup, log, topics, url), service.start()]);
setInterval(() => process.stdout.write(`sent ${service.stats().statuses.sent}\n`), 5);
