/** The Kafka of a benchmark, and a connection to it. */
import { pino } from "pino";
import { KafkaLog } from "../eventlog/kafka/kafka-log.ts";
import type { Cleanup } from "../test/support/cleanup.ts";
import { deleteTopics } from "../test/support/delete-topics.ts";
import { startKafka, type Kafka, type KafkaOptions } from "../test/support/kafka.ts";
import { jobTopics } from "../test/support/telemetry.ts";
import { uniqueName } from "../test/support/unique-name.ts";

const OWN: KafkaOptions = { shippedJvm: true, config: {} };

/** Of a broker started here with `OWN`. */
export const KAFKA_CONDITIONS = "4.3.1, one broker, same machine, JVM as kafka-server-start.sh has it; KAFKA_BROKERS: as that was started";

/** @param options of a broker of its own. Absent: that of KAFKA_BROKERS, or one with 1 GiB */
export async function benchKafka(t: Cleanup, options?: KafkaOptions) {
  const kafka = await startKafka(t, options ?? (process.env.KAFKA_BROKERS === undefined ? OWN : {}));
  const log = new KafkaLog({ brokers: kafka.bootstrap, clientId: "bench", logger: pino({ level: "silent" }) });
  t.after(() => log.close());
  return { kafka, log };
}

/** A job's names; on a broker that is not the bench's own what it makes is deleted after: a broker with the leavings of many runs is slower. */
export function benchJob(t: Cleanup, kafka: Kafka) {
  const applicationId = uniqueName("bench");
  if (kafka.pids.length === 0) t.after(() => deleteTopics(kafka, (name) => name.startsWith(applicationId)));
  return { applicationId, topics: jobTopics(applicationId) };
}
