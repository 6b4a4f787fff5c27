/** The Kafka of a benchmark, and a connection to it. */
import { pino } from "pino";
import { KafkaLog } from "../eventlog/kafka/kafka-log.ts";
import type { Cleanup } from "../test/support/cleanup.ts";
import { startKafka, type KafkaOptions } from "../test/support/kafka.ts";

const OWN: KafkaOptions = { heapMiB: 1024, config: {} };

/** @param options of a broker of its own. Absent: that of KAFKA_BROKERS, or one with 1 GiB */
export async function benchKafka(t: Cleanup, options?: KafkaOptions) {
  const kafka = await startKafka(t, options ?? (process.env.KAFKA_BROKERS === undefined ? OWN : {}));
  const log = new KafkaLog({ brokers: kafka.bootstrap, clientId: "bench", logger: pino({ level: "silent" }) });
  t.after(() => log.close());
  return { kafka, log };
}
