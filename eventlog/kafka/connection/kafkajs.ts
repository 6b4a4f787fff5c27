/**
 * The parts of kafkajs 2.2.4 that are used: sockets with TLS, the request queue, ApiVersions and SASL.
 * Deep imports without types (the package has no exports map), hence the exact pin and the interfaces below.
 */
import { createRequire } from "node:module";
import type { Socket } from "node:net";
import type { SASLOptions } from "kafkajs";

export interface KafkaJsRequestQueue {
  /** Lower bound of every request's time-out. */
  requestTimeout: number;
  readonly pending: readonly unknown[];
  /** An answer: of what is left after its correlation id. */
  fulfillRequest(answer: { correlationId: number; payload: Buffer; size: number }): void;
  scheduleCheckPendingRequests(): void;
  push(request: {
    entry: {
      apiKey: number;
      apiName: string;
      apiVersion: number;
      correlationId: number;
      resolve(answer: { payload: Buffer }): void;
      reject(error: Error): void;
    };
    expectResponse: boolean;
    requestTimeout: number;
    sendRequest(): void;
  }): void;
}

export interface KafkaJsConnection {
  readonly connectionStatus: "connected" | "disconnecting" | "disconnected";
  readonly requestQueue: KafkaJsRequestQueue;
  readonly socket: Socket | undefined;
  /** ms; 0: it does not end. */
  readonly sessionLifetime: { toNumber(): number };
  /** What the socket brings. */
  processData(chunk: Buffer): void;
  nextCorrelationId(): number;
  rejectRequests(error: Error): void;
  /** Waits for the answers still due, then ends the socket. */
  disconnect(): Promise<unknown>;
}

export interface KafkaJsConnectionPool {
  readonly pool: readonly KafkaJsConnection[];
}

export interface KafkaJsBroker {
  /** Connects the pool's first connection, learns the API versions, authenticates. */
  connect(): Promise<void>;
}

export interface KafkaJsLogger {
  readonly info: (message: string, extra?: object) => void;
  readonly error: (message: string, extra?: object) => void;
  readonly warn: (message: string, extra?: object) => void;
  readonly debug: (message: string, extra?: object) => void;
  namespace(name: string): KafkaJsLogger;
}

export type SocketFactory = (target: { host: string; port: number; ssl: unknown; onConnect: () => void }) => Socket;

export interface KafkaJsPoolOptions {
  host: string;
  port: number;
  ssl: unknown;
  sasl: SASLOptions | null;
  clientId: string;
  socketFactory: SocketFactory;
  connectionTimeout: number;
  requestTimeout: number;
  logger: KafkaJsLogger;
}

const require = createRequire(import.meta.url);

export const ConnectionPool = require("kafkajs/src/network/connectionPool") as new (options: KafkaJsPoolOptions) => KafkaJsConnectionPool;

export const Broker = require("kafkajs/src/broker") as new (options: {
  connectionPool: KafkaJsConnectionPool;
  logger: KafkaJsLogger;
  allowAutoTopicCreation: boolean;
  authenticationTimeout: number;
}) => KafkaJsBroker;
