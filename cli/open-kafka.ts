import { readFileSync } from "node:fs";
import type { SASLOptions } from "kafkajs";
import type { Logger } from "pino";
import type { CredentialSource, Credentials, KafkaLogOptions } from "../eventlog/kafka/connection/options.ts";
import { KafkaLog } from "../eventlog/kafka/kafka-log.ts";
import type { EventLog } from "../eventlog/port.ts";
import { secretFileOf, secretText } from "./config/secrets.ts";
import type { Config } from "./config/schema.ts";
import { CommandFailure } from "./failure.ts";
import { tokenProvider } from "./oauth-token.ts";
import { Reloaded } from "./reloaded.ts";
import { readTlsFiles, tlsFileNames, type TlsFiles } from "./tls-files.ts";

/** What `kafka.brokers` is when it is absent (design, section 8). */
const DEFAULT_BROKERS = ["localhost:9092"];

/** The log on the configured Kafka. Does no I/O yet but reading certificates. */
export function openKafka(config: Config, logger: Logger): EventLog {
  return new KafkaLog(kafkaOptions(config, logger));
}

/** @throws CommandFailure `no-password`, `no-client-secret` */
export function kafkaOptions(config: Config, logger: Logger): KafkaLogOptions {
  const { brokers, requestTimeoutMs } = config.kafka;
  return {
    brokers: brokers ?? DEFAULT_BROKERS,
    clientId: config.instanceId ?? config.applicationId,
    credentials: credentials(config, logger),
    logger,
    requestTimeoutMs,
  };
}

/** Undefined: no TLS. */
export function kafkaTls({ kafka: { ssl } }: Config): TlsFiles | undefined {
  return ssl?.enabled === true ? ssl : undefined;
}

/** Read again when a file changes: connections are then replaced, one after the other, and what is on its way is answered first. */
function credentials(config: Config, logger: Logger): CredentialSource {
  const { sasl } = config.kafka;
  const passwordFile = sasl === undefined ? undefined : secretFileOf(sasl.passwordFile, sasl.password);
  const tls = kafkaTls(config);
  const make = (): Credentials => ({
    ssl: tls === undefined ? undefined : readTlsFiles(tls),
    sasl: sasl === undefined ? undefined : saslOptions(sasl, passwordFile),
  });
  const files = [...(tls === undefined ? [] : tlsFileNames(tls)), ...(passwordFile === undefined ? [] : [passwordFile])];
  const reloaded = new Reloaded(files, make, logger);
  return { version: () => reloaded.version, current: () => reloaded.current };
}

function saslOptions(sasl: NonNullable<Config["kafka"]["sasl"]>, passwordFile: string | undefined): SASLOptions {
  const { mechanism, username = "", password } = sasl;
  if (mechanism === "oauthbearer") return { mechanism, oauthBearerProvider: tokenProvider(sasl) };
  const text = passwordFile === undefined ? password : secretText(readFileSync(passwordFile));
  if (text === undefined)
    throw new CommandFailure("no-password", "kafka.sasl needs a password: set kafka.sasl.passwordFile or SLUICE_KAFKA_SASL_PASSWORD");
  return { mechanism, username, password: text };
}
