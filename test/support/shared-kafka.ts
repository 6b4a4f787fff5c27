import { CleanupList } from "./cleanup.ts";
import { startKafka, type Kafka } from "./kafka.ts";

let shared: Promise<Kafka> | undefined;

/**
 * The broker all integration tests of a run share: the one `scripts/test.ts` started (KAFKA_BROKERS), else one for this
 * process, stopped when nothing else is left to do. Topics and groups must have a `uniqueName()`. No test stops, freezes or kills it.
 */
export function sharedKafka(): Promise<Kafka> {
  shared ??= start();
  return shared;
}

async function start(): Promise<Kafka> {
  const cleanup = new CleanupList();
  const kafka = await startKafka(cleanup, { background: true });
  // Not node:test's after(): called inside a test it would belong to that test.
  process.once("beforeExit", () => {
    void cleanup.run();
  });
  return kafka;
}
