import { Kafka as KafkaClient, logLevel } from "kafkajs";

/** True when every broker of the cluster is known and answers metadata. Rejects while it does not. */
export async function kafkaAnswers(bootstrap: readonly string[]): Promise<boolean> {
  const client = new KafkaClient({
    brokers: [...bootstrap],
    logLevel: logLevel.NOTHING,
    connectionTimeout: 1000,
    requestTimeout: 5000,
    retry: { retries: 0 },
  });
  const admin = client.admin();
  try {
    await admin.connect();
    return (await admin.describeCluster()).brokers.length >= bootstrap.length;
  } finally {
    await admin.disconnect();
  }
}
