import type { SASLOptions } from "kafkajs";
import type { Logger } from "pino";
import { KafkaLog } from "../eventlog/kafka/kafka-log.ts";
import type { EventLog } from "../eventlog/port.ts";
import type { Config } from "./config/schema.ts";
import { CommandFailure } from "./failure.ts";
import { readTlsFiles } from "./tls-files.ts";

/** What `kafka.brokers` is when it is absent (design, section 8). */
const DEFAULT_BROKERS = ["localhost:9092"];

/** The log on the configured Kafka. Does no I/O yet but reading certificates. */
export function openKafka(config: Config, logger: Logger): EventLog {
  const { brokers, ssl, sasl, requestTimeoutMs } = config.kafka;
  return new KafkaLog({
    brokers: brokers ?? DEFAULT_BROKERS,
    clientId: config.instanceId ?? config.applicationId,
    ssl: ssl?.enabled === true ? readTlsFiles(ssl) : undefined,
    sasl: sasl === undefined ? undefined : saslOptions(sasl),
    logger,
    requestTimeoutMs,
  });
}

function saslOptions({ mechanism, username, password }: NonNullable<Config["kafka"]["sasl"]>): SASLOptions {
  if (password === undefined)
    throw new CommandFailure("no-password", "kafka.sasl needs a password: set kafka.sasl.passwordFile or SLUICE_KAFKA_SASL_PASSWORD");
  return { mechanism, username, password };
}
