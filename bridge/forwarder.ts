/**
 * One message's way from the broker to the event log and its acknowledgement back. Knows neither socket nor MQTT.js,
 * so every rule here is tested with a fake link and a fake writer.
 *
 *   take() -> in window? -> route by topic -> raw record | dead letter -> writer -> settle() -> head of the queue durable? -> acks
 *
 * A write that fails for good is not acknowledged: the link ends the connection and the broker delivers the message
 * again. What was written twice that way, the worker's dedupe drops.
 */
import { DEAD_LETTER_KEPT_BYTES, deadLetterHeaders, truncateDeadLetter } from "../eventlog/dead-letter.ts";
import { LogError } from "../eventlog/errors.ts";
import type { PlainWriter, RecordHeader, TopicPartition } from "../eventlog/port.ts";
import { RAW_HEADERS, type DlqReason } from "../processors/formats/names.ts";
import { AckQueue } from "./ack-queue.ts";
import { BridgeError } from "./errors.ts";
import { InFlightPool, type InFlight } from "./in-flight.ts";
import { Qos2Session } from "./qos2-session.ts";
import type { RawHeaders } from "./raw-headers.ts";
import type { Route, RouteCache } from "./route-cache.ts";

/** What of an MQTT PUBLISH is used here; MQTT.js's packet is one. */
export interface InboundMessage {
  readonly topic: string;
  readonly payload: string | Uint8Array;
  readonly qos: 0 | 1 | 2;
  readonly dup: boolean;
  readonly retain: boolean;
  readonly messageId?: number;
  readonly properties?: { readonly contentType?: string; readonly correlationData?: Buffer };
}

/** The connection, as the forwarder sees it. */
export interface ForwarderLink {
  /** PUBACKs and PUBRECs, in order, for the connection that is open now. */
  sendAcks(acks: Buffer): void;
  /** A message could not be written: end the connection, so that the broker delivers it again. */
  redeliver(error: Error): void;
  /** There is room again after take() said no. */
  roomAgain(): void;
}

export interface ForwarderBounds {
  /** Unacknowledged QoS 1 and 2 messages. */
  readonly windowMessages: number;
  /** Bytes of them; one message may go over. */
  readonly windowBytes: number;
  /** QoS 0 messages not yet durable; past it they are shed, as QoS 0 allows, and counted. */
  readonly qos0Messages: number;
  readonly qos0Bytes: number;
  /** A larger payload becomes a dead letter with its first 64 KiB. */
  readonly maxValueBytes: number;
}

export interface ForwarderCounters {
  /** By QoS. */
  readonly received: [number, number, number];
  /** Raw records durable. */
  written: number;
  /** PUBACKs and PUBRECs sent. */
  acked: number;
  /** QoS 0 messages dropped: buffer full, or their write failed. */
  shed: number;
  /** QoS 2 messages sent again that were known, and not written twice. */
  redelivered: number;
  /** Durable ones. */
  readonly deadLetters: Map<DlqReason, number>;
  writeFailures: number;
}

/** What a record takes in the writer beside its payload: key, headers, framing; measured about 220 bytes, so that bounds in bytes hold for small messages. */
const RECORD_OVERHEAD_BYTES = 256;

/** MQTT 5 correlation data that is kept: a command's id has at most 128 bytes. */
const MAX_CORRELATION_BYTES = 128;

export class Forwarder {
  readonly counters: ForwarderCounters = {
    received: [0, 0, 0],
    written: 0,
    acked: 0,
    shed: 0,
    redelivered: 0,
    deadLetters: new Map(),
    writeFailures: 0,
  };
  readonly #writer: PlainWriter;
  readonly #routes: RouteCache;
  readonly #headers: RawHeaders;
  readonly #link: ForwarderLink;
  readonly #bounds: ForwarderBounds;
  readonly #queue = new AckQueue();
  readonly #pool = new InFlightPool((message, error) => this.#settle(message, error));
  readonly #qos2 = new Qos2Session();
  readonly #dropped = (message: InFlight): void => this.#unqueued(message);
  readonly #acked = (message: InFlight): void => {
    this.counters.acked++;
    this.#unqueued(message);
  };
  readonly #flush = (): void => this.flushAcks();
  #flushScheduled = false;
  #refused = false;
  #writes = 0;
  #writeBytes = 0;
  #qos0Writes = 0;
  #qos0Bytes = 0;

  constructor(parts: { writer: PlainWriter; routes: RouteCache; headers: RawHeaders; link: ForwarderLink; bounds: ForwarderBounds }) {
    this.#writer = parts.writer;
    this.#routes = parts.routes;
    this.#headers = parts.headers;
    this.#link = parts.link;
    this.#bounds = parts.bounds;
  }

  /** Messages that are not durable, or durable and not acknowledged. */
  get inFlight(): number {
    return Math.max(this.#writes, this.#queue.length) + this.#qos0Writes;
  }

  get inFlightBytes(): number {
    return this.#writeBytes + this.#qos0Bytes;
  }

  /** False: no room; the caller offers the same message again after roomAgain(), and reads nothing else until then. */
  take(inbound: InboundMessage): boolean {
    const payload = typeof inbound.payload === "string" ? Buffer.from(inbound.payload) : inbound.payload;
    const bytes = payload.length + RECORD_OVERHEAD_BYTES;
    if (inbound.qos === 0) {
      this.counters.received[0]++;
      if (this.#qos0Writes < this.#bounds.qos0Messages && this.#qos0Bytes < this.#bounds.qos0Bytes) {
        this.#start(inbound, payload, bytes);
      } else this.counters.shed++;
      return true;
    }
    if (!this.#hasRoom()) {
      this.#refused = true;
      return false;
    }
    this.counters.received[inbound.qos]++;
    if (inbound.qos === 2 && this.#isKnown(inbound)) return true;
    this.#start(inbound, payload, bytes);
    return true;
  }

  /** The connection is gone: nothing that came on it is acknowledged any more. Writes go on. */
  connectionLost(): void {
    this.#queue.connectionLost(this.#dropped);
    this.#refused = false;
  }

  /** A connection is open. Without a session at the broker, packet ids of earlier QoS 2 messages mean nothing now. */
  connectionOpened(sessionPresent: boolean): void {
    if (!sessionPresent) this.#qos2.clear();
  }

  /** PUBREL. */
  released(messageId: number): void {
    this.#qos2.release(messageId);
  }

  /** Sends what may be acknowledged now; runs by itself once after each burst of finished writes. */
  flushAcks(): void {
    this.#flushScheduled = false;
    const acks = this.#queue.takeAcks(this.#acked);
    if (acks !== undefined) this.#link.sendAcks(acks);
    if (this.#refused && this.#hasRoom()) {
      this.#refused = false;
      this.#link.roomAgain();
    }
  }

  #hasRoom(): boolean {
    const { windowMessages, windowBytes } = this.#bounds;
    return this.#writes < windowMessages && this.#writeBytes < windowBytes && this.#queue.length < windowMessages;
  }

  /** A QoS 2 message between PUBLISH and PUBREL that came again: only its PUBREC is owed, after the first write is durable. */
  #isKnown(inbound: InboundMessage): boolean {
    const known = this.#qos2.find(inbound.messageId ?? 0);
    if (known === undefined) return false;
    this.counters.redelivered++;
    // Sent again on one connection: the PUBREC that is coming answers both.
    if (known.waiting !== undefined) return true;
    const message = this.#pool.take();
    message.messageId = inbound.messageId ?? 0;
    message.qos = 2;
    message.durable = known.durable;
    message.qos2 = known;
    known.waiting = message;
    this.#queue.push(message);
    if (known.durable) this.#scheduleFlush();
    return true;
  }

  #start(inbound: InboundMessage, payload: Uint8Array, bytes: number): void {
    const message = this.#pool.take();
    message.messageId = inbound.messageId ?? 0;
    message.qos = inbound.qos;
    message.bytes = bytes;
    message.payload = payload;
    message.topic = inbound.topic;
    message.retain = inbound.retain;
    message.dup = inbound.dup;
    message.contentType = inbound.properties?.contentType;
    message.correlation = inbound.properties?.correlationData;
    message.receivedTs = Date.now();
    message.deadLetter = undefined;
    if (inbound.qos === 0) {
      this.#qos0Writes++;
      this.#qos0Bytes += bytes;
    } else {
      this.#writes++;
      this.#writeBytes += bytes;
      if (inbound.qos === 2) message.qos2 = this.#qos2.begin(message.messageId, message);
      this.#queue.push(message);
    }
    const route = this.#routes.route(inbound.topic);
    if (route.key === null)
      this.#writeDeadLetter(message, route, payload, "bad-topic", "not t/{tenant}/d/{deviceId}/telemetry or .../cmd/ack");
    else if (payload.length > this.#bounds.maxValueBytes) this.#writeTooLarge(message, route, payload);
    else this.#write(message, route.target, route.key, payload, this.#headersOf(message, route));
  }

  #headersOf(message: InFlight, route: Route): RecordHeader[] {
    const headers = this.#headers.of(route.topicHeader, message.qos, message.dup, message.retain, message.contentType, message.receivedTs);
    const { correlation } = message;
    if (correlation !== undefined && correlation.length <= MAX_CORRELATION_BYTES)
      headers.push({ key: RAW_HEADERS.correlation, value: correlation });
    return headers;
  }

  #writeTooLarge(message: InFlight, route: Route, payload: Uint8Array): void {
    const text = `${payload.length} bytes; validation.maxValueBytes is ${this.#bounds.maxValueBytes}`;
    this.#writeDeadLetter(message, route, payload, "too-large", text);
  }

  #writeDeadLetter(message: InFlight, route: Route, payload: Uint8Array, reason: DlqReason, text: string): void {
    message.deadLetter = reason;
    const keepsAll = reason !== "too-large" && payload.length <= this.#bounds.maxValueBytes;
    const { value, cut } = truncateDeadLetter(payload, keepsAll ? payload.length : DEAD_LETTER_KEPT_BYTES);
    const original = this.#headersOf(message, route);
    const source = message.topic;
    const headers = deadLetterHeaders({ reason, message: text, stage: "ingress", source, ts: message.receivedTs, original, cut });
    this.#write(message, route.dlq, route.key, value, headers);
  }

  #write(message: InFlight, to: TopicPartition, key: Uint8Array | null, value: Uint8Array, headers: RecordHeader[]): void {
    message.writing = true;
    try {
      this.#writer.send(to, key, value, headers, message.receivedTs, message.done);
    } catch (error) {
      // A refusal in place (buffer full, closed) means what a failed write means.
      this.#settle(message, error instanceof Error ? error : new Error(String(error)));
    }
  }

  #settle(message: InFlight, error: Error | undefined): void {
    message.writing = false;
    // Settings allow a larger value than the log's topic does: the log's word counts.
    if (error instanceof LogError && error.code === "record-too-large" && message.deadLetter !== "too-large" && message.payload) {
      this.#writeTooLarge(message, this.#routes.route(message.topic), message.payload);
      return;
    }
    this.#account(message);
    if (error === undefined) this.#succeeded(message);
    else this.#failed(message, error);
    this.#pool.giveBackIfUnused(message);
    if (this.#refused) this.#scheduleFlush();
  }

  #account(message: InFlight): void {
    if (message.qos === 0) {
      this.#qos0Writes--;
      this.#qos0Bytes -= message.bytes;
    } else {
      this.#writes--;
      this.#writeBytes -= message.bytes;
    }
    message.payload = undefined;
  }

  #succeeded(message: InFlight): void {
    const { deadLetters } = this.counters;
    if (message.deadLetter === undefined) this.counters.written++;
    else deadLetters.set(message.deadLetter, (deadLetters.get(message.deadLetter) ?? 0) + 1);
    message.durable = true;
    if (message.qos2 !== undefined) {
      message.qos2.durable = true;
      if (message.qos2.waiting !== undefined) message.qos2.waiting.durable = true;
    }
    if (message.queued || message.qos2?.waiting !== undefined) this.#scheduleFlush();
  }

  #failed(message: InFlight, error: Error): void {
    this.counters.writeFailures++;
    if (message.qos === 0) {
      this.counters.shed++;
      return;
    }
    const awaited = message.queued || message.qos2?.waiting !== undefined;
    if (message.qos2 !== undefined) this.#qos2.forget(message.messageId, message.qos2);
    // Of a connection that is gone already, the broker has delivered it again or will.
    if (awaited)
      this.#link.redeliver(new BridgeError("write-failed", `the event log did not take a message: ${error.message}`, { cause: error }));
  }

  #scheduleFlush(): void {
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    process.nextTick(this.#flush);
  }

  #unqueued(message: InFlight): void {
    if (message.qos2?.waiting === message) message.qos2.waiting = undefined;
    this.#pool.giveBackIfUnused(message);
  }
}
