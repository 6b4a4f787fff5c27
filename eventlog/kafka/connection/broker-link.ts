/** One live connection to one broker: kafkajs's socket and authentication; our own framing, encoding and decoding. */
import { connect as connectTcp, isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { LogError } from "../../errors.ts";
import type { KafkaRequest } from "../wire/request.ts";
import { WireReader } from "../wire/wire-reader.ts";
import { WireWriter } from "../wire/wire-writer.ts";
import { AnswerFrames } from "./answer-frames.ts";
import { Broker, ConnectionPool, type KafkaJsConnection, type SocketFactory } from "./kafkajs.ts";
import { kafkaJsLogger } from "./kafkajs-logger.ts";
import type { Address, ConnectionSettings } from "./options.ts";

/** Once connected: every request here brings its own time-out, and kafkajs takes the greater of the two. */
const KAFKAJS_REQUEST_TIMEOUT_MS = 1;
/** kafkajs wraps whatever fails during SASL alike; this is not the broker saying no. */
const INTERRUPTED = /timed out|connection|closed|ECONN|EPIPE/i;
const CORRELATION_ID_BYTES = 4;
/** At once, by one connection. Twice what Node's own buffers take. */
const READ_BYTES = 128 * 1024;
const KEEP_ALIVE_MS = 60_000;
/**
 * A SASL session is not used in its last part (KIP-368): what comes after its end costs the connection. Java's clients authenticate again
 * at 85 to 95 % of it.
 */
const MAX_SESSION_SPARE_MS = 10_000;
const SESSION_SPARE = 0.2;

export class BrokerLink {
  readonly address: Address;
  readonly #connection: KafkaJsConnection;
  readonly #settings: ConnectionSettings;
  /** Of the credentials that it was opened with. */
  readonly #version: number;
  /** performance.now(); Infinity for a session without an end. */
  readonly #usableUntil: number;

  /** Resolves when connected and authenticated. Rejects with `unavailable`, `timed-out` or `unauthorized`. */
  static async open(address: Address, settings: ConnectionSettings): Promise<BrokerLink> {
    const logger = kafkaJsLogger(settings.logger);
    const version = settings.credentials.version();
    const { ssl, sasl } = settings.credentials.current();
    const pool = new ConnectionPool({
      host: address.host,
      port: address.port,
      ssl: ssl === undefined || ssl === false ? null : ssl,
      sasl: sasl ?? null,
      clientId: settings.clientId,
      socketFactory,
      connectionTimeout: settings.connectionTimeoutMs,
      requestTimeout: settings.connectionTimeoutMs,
      logger,
    });
    const connection = pool.pool[0];
    silenceNegativeTimers(connection);
    const broker = new Broker({
      connectionPool: pool,
      logger,
      allowAutoTopicCreation: false,
      authenticationTimeout: settings.connectionTimeoutMs,
    });
    const where = `${address.host}:${address.port}`;
    cutIntoAnswers(connection, where);
    // kafkajs bounds the TCP connect, but not SASL's round trips.
    const boundMs = 2 * settings.connectionTimeoutMs;
    const startedAt = performance.now();
    let timer: NodeJS.Timeout | undefined;
    const expired = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new LogError("timed-out", `connecting to ${where} took more than ${boundMs} ms`)), boundMs);
    });
    try {
      await Promise.race([broker.connect(), expired]);
    } catch (error) {
      await shut(connection, error as Error);
      if (error instanceof LogError) throw error;
      const { name, message } = error as Error;
      const denied = name === "KafkaJSSASLAuthenticationError" && !INTERRUPTED.test(message);
      throw new LogError(denied ? "unauthorized" : "unavailable", `no connection to ${where}: ${message}`, {
        cause: error,
      });
    } finally {
      clearTimeout(timer);
    }
    connection.requestQueue.requestTimeout = KAFKAJS_REQUEST_TIMEOUT_MS;
    return new BrokerLink(address, connection, settings, version, sessionUsableUntil(startedAt, connection));
  }

  private constructor(address: Address, connection: KafkaJsConnection, settings: ConnectionSettings, version: number, usableUntil: number) {
    this.address = address;
    this.#connection = connection;
    this.#settings = settings;
    this.#version = version;
    this.#usableUntil = usableUntil;
  }

  /** False once the socket is gone, when a SASL session is about to expire (KIP-368), and with newer credentials: then a new link is due. */
  get usable(): boolean {
    if (this.#connection.connectionStatus !== "connected" || this.#version !== this.#settings.credentials.version()) return false;
    return performance.now() < this.#usableUntil;
  }

  /**
   * Sends at once, behind what is on its way. Rejects with `unavailable` (connection lost: the request may have been
   * carried out or not) or `timed-out` (then the connection is closed, as answers come in order).
   */
  send<Response>(request: KafkaRequest<Response>, timeoutMs: number): Promise<Response> {
    const { apiKey, apiVersion, name } = request;
    const where = `${this.address.host}:${this.address.port}`;
    if (this.#connection.connectionStatus !== "connected") {
      return Promise.reject(new LogError("unavailable", `${name}: the connection to ${where} is closed`));
    }
    const correlationId = this.#connection.nextCorrelationId();
    const chunks = this.#encode(request, correlationId);
    return new Promise<Response>((resolve, reject) => {
      this.#connection.requestQueue.push({
        entry: {
          apiKey,
          apiVersion,
          apiName: name,
          correlationId,
          resolve: ({ payload }) => {
            try {
              resolve(decode(request, payload));
            } catch (error) {
              reject(new LogError("unavailable", `${name}: the answer of ${where} cannot be read`, { cause: error }));
            }
          },
          reject: (error) => reject(this.#failed(name, where, error)),
        },
        expectResponse: true,
        requestTimeout: timeoutMs,
        sendRequest: () => this.#write(chunks),
      });
    });
  }

  /** Waits for the answers still due, then closes. */
  async drain(): Promise<void> {
    await this.#connection.disconnect();
  }

  /** Closes now; requests in flight reject with `unavailable`. */
  async destroy(): Promise<void> {
    await shut(this.#connection, new Error("closed by this client"));
  }

  #encode<Response>(request: KafkaRequest<Response>, correlationId: number): Buffer[] {
    const writer = new WireWriter();
    writer.int32(0).int16(request.apiKey).int16(request.apiVersion).int32(correlationId).string(this.#settings.clientId);
    if (request.flexible) writer.noTags();
    request.encode(writer);
    const chunks = writer.finish();
    chunks[0].writeInt32BE(writer.byteLength - 4, 0);
    return chunks;
  }

  #write(chunks: readonly Buffer[]): void {
    const socket = this.#connection.socket;
    if (socket === undefined) throw new LogError("unavailable", "the connection has no socket");
    socket.cork();
    for (const chunk of chunks) socket.write(chunk);
    socket.uncork();
  }

  #failed(name: string, where: string, error: Error): LogError {
    if (error instanceof LogError) return error;
    if (error.name !== "KafkaJSRequestTimeoutError") {
      return new LogError("unavailable", `${name}: connection to ${where} lost: ${error.message}`, { cause: error });
    }
    void this.destroy();
    return new LogError("timed-out", `${name}: no answer from ${where} in time`, { cause: error });
  }
}

function decode<Response>(request: KafkaRequest<Response>, payload: Buffer): Response {
  const reader = new WireReader(payload);
  if (request.flexible) reader.tags();
  return request.decode(reader);
}

async function shut(connection: KafkaJsConnection, error: Error): Promise<void> {
  connection.rejectRequests(error);
  const socket = connection.socket;
  await connection.disconnect();
  socket?.destroy();
}

/** @param startedAt before the session began: by the broker's clock it lasts a little longer */
function sessionUsableUntil(startedAt: number, { sessionLifetime }: KafkaJsConnection): number {
  const lifetimeMs = sessionLifetime.toNumber();
  return lifetimeMs === 0 ? Infinity : startedAt + lifetimeMs - Math.min(MAX_SESSION_SPARE_MS, lifetimeMs * SESSION_SPARE);
}

/** Nothing but answers comes: SASL's tokens are in answers too since Kafka 1.0. */
function cutIntoAnswers(connection: KafkaJsConnection, where: string): void {
  const frames = new AnswerFrames((answer) => {
    const payload = answer.subarray(CORRELATION_ID_BYTES);
    connection.requestQueue.fulfillRequest({ size: answer.length, correlationId: answer.readInt32BE(0), payload });
  });
  connection.processData = (chunk) => {
    try {
      frames.push(chunk);
    } catch (error) {
      void shut(
        connection,
        new LogError("unavailable", `${where} does not answer as Kafka does: ${(error as Error).message}`, { cause: error }),
      );
    }
  };
}

/** kafkajs sets a timer with a negative time after every answer (a 1 ms timer and a warning on Node 24), even with nothing queued. */
function silenceNegativeTimers(connection: KafkaJsConnection): void {
  const queue = connection.requestQueue;
  const schedule = queue.scheduleCheckPendingRequests.bind(queue);
  queue.scheduleCheckPendingRequests = () => {
    if (queue.pending.length > 0) schedule();
  };
}

/**
 * kafkajs's own leaves Nagle's algorithm on, which with delayed acknowledgements costs up to 40 ms a request. Without TLS what is read comes in
 * one buffer, again and again: AnswerFrames copies it, and a new one for each read would be garbage for V8's old generation.
 */
const socketFactory: SocketFactory = ({ host, port, ssl, onConnect }): Socket => {
  const target = { host, port, noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS };
  if (ssl === null || ssl === undefined) {
    const onread = {
      buffer: Buffer.allocUnsafeSlow(READ_BYTES),
      callback: (count: number, buffer: Uint8Array) => socket.emit("data", (buffer as Buffer).subarray(0, count)),
    };
    const socket: Socket = connectTcp({ ...target, onread }, onConnect);
    return socket;
  }
  const socket = connectTls({ ...target, ...(isIP(host) === 0 ? { servername: host } : {}), ...(ssl === true ? {} : ssl) }, onConnect);
  socket.setNoDelay(true);
  return socket;
};
