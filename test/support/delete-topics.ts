import { Kafka as KafkaClient, logLevel } from "kafkajs";
import type { Kafka } from "./kafka.ts";

/** Deletes those of a cluster's topics that are meant. */
export async function deleteTopics(kafka: Kafka, isMeant: (name: string) => boolean): Promise<void> {
  const admin = new KafkaClient({ brokers: [...kafka.bootstrap], logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  try {
    await admin.deleteTopics({ topics: (await admin.listTopics()).filter(isMeant) });
  } finally {
    await admin.disconnect();
  }
}
