/** An ingress on the embedded log as a process of its own, to be killed: `node ingress-child.ts <mqtt url> <log dir>`. */
import { pino } from "pino";
import { Ingress } from "../../bridge/ingress.ts";
import { EmbeddedLog } from "../../eventlog/embedded/embedded-log.ts";

const [url, dir] = process.argv.slice(2);
const log = await EmbeddedLog.open({ dir });
await log.admin.createTopics(["raw", "dlq"].map((name) => ({ name, partitions: 4, config: {} })));
const ingress = new Ingress({
  mqtt: { url, clientId: "ingress-kill", topics: ["t/+/d/+/telemetry"], qos: 2 },
  log,
  topics: { raw: "raw", dlq: "dlq" },
  validation: { maxValueBytes: 1_000_000 },
  ingressId: "ingress-kill",
  logger: pino({ level: "silent" }),
});
process.once("SIGTERM", () => {
  void ingress
    .stop()
    .then(() => log.close())
    .then(() => process.exit(0));
});
await ingress.start();
setInterval(() => process.stdout.write(`acked ${ingress.stats().acked}\n`), 10);
process.stdout.write("ready\n");
