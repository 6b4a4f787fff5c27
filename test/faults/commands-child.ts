/**
 * A commands service as a process of its own, to be killed or frozen: `node commands-child.ts <mqtt url> <brokers> <topic prefix>
 * [<service id>]`. Without a service id the ingress, which brings the answers, is in it too.
 */
import { CleanupList } from "../support/cleanup.ts";
import { commandTopics, makeCommandService, openKafkaLog, startAckIngress } from "../support/command-rig.ts";

const [url, brokers, prefix, serviceId] = process.argv.slice(2);
const topics = commandTopics(prefix);
const cleanup = new CleanupList();
const log = openKafkaLog(cleanup, brokers.split(","));
// A short window per device keeps commands waiting, sent and delivered at every moment.
const service = makeCommandService(cleanup, log, topics, url, { serviceId, bounds: { deviceWindow: 4, deviceQueue: 100_000 } });
service.finished.catch((error: unknown) => {
  process.stderr.write(`${String(error)}\n`);
  process.exit(1);
});
await Promise.all([service.start(), ...(serviceId === undefined ? [startAckIngress(cleanup, log, topics, url)] : [])]);
setInterval(() => process.stdout.write(`sent ${service.stats().statuses.sent}\n`), 5);
