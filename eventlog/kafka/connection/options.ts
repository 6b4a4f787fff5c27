import type { ConnectionOptions } from "node:tls";
import type { SASLOptions } from "kafkajs";
import type { Logger } from "pino";

export interface KafkaLogOptions {
  /** `host:port` of at least one broker; IPv6 addresses in brackets. */
  readonly brokers: readonly string[];
  readonly clientId: string;
  /** As kafkajs has it: true, or Node's TLS options. */
  readonly ssl?: boolean | ConnectionOptions;
  /** As kafkajs has it: plain, scram-sha-256, scram-sha-512, oauthbearer, aws. */
  readonly sasl?: SASLOptions;
  /** Instead of `ssl` and `sasl`, where they may change while the log is open. */
  readonly credentials?: CredentialSource;
  readonly logger: Logger;
  /** How long an answer may take before the connection is given up. Default 30 s. */
  readonly requestTimeoutMs?: number;
  /** How long connecting and authenticating may take, each. Default 5 s. */
  readonly connectionTimeoutMs?: number;
}

export interface Credentials {
  readonly ssl: boolean | ConnectionOptions | undefined;
  readonly sasl: SASLOptions | undefined;
}

/**
 * Asked at each new connection. A connection that was opened with another version than the present one is not used for new requests: it
 * waits for the answers that are due, and closes.
 */
export interface CredentialSource {
  /** Asked before each request, so it must be cheap. */
  version(): number;
  current(): Credentials;
}

/** `KafkaLogOptions` with its defaults filled in. */
export interface ConnectionSettings {
  readonly clientId: string;
  readonly credentials: CredentialSource;
  readonly logger: Logger;
  readonly requestTimeoutMs: number;
  readonly connectionTimeoutMs: number;
}

/** Kafka's own clients wait as long. */
const REQUEST_TIMEOUT_MS = 30_000;
const CONNECTION_TIMEOUT_MS = 5_000;

export function connectionSettings(options: KafkaLogOptions): ConnectionSettings {
  return {
    clientId: options.clientId,
    credentials: options.credentials ?? { version: () => 0, current: () => ({ ssl: options.ssl, sasl: options.sasl }) },
    logger: options.logger,
    requestTimeoutMs: options.requestTimeoutMs ?? REQUEST_TIMEOUT_MS,
    connectionTimeoutMs: options.connectionTimeoutMs ?? CONNECTION_TIMEOUT_MS,
  };
}

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** Throws RangeError on what is not `host:port`: a wrong setting, not a state of the log. */
export function parseAddress(text: string): Address {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text.trim());
  if (match === null || Number(match[3]) > 65_535) throw new RangeError(`broker address must be host:port, got "${text}"`);
  return { host: match[1] ?? match[2], port: Number(match[3]) };
}
