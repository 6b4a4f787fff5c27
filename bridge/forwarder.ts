/**
 * One message's way from the broker to the event log and its acknowledgement back. Knows neither socket nor MQTT.js,
 * so every rule here is tested with a fake link and a fake writer.
 *
 *   take() -> in window? -> route by topic -> admitted? -> raw record | dead letter | shed record -> writer -> settle()
 *          -> head of the queue durable? -> acks
 *
 * A write that fails for good is not acknowledged: the link ends the connection and the broker delivers the message
 * again. What was written twice that way, the worker's dedupe drops.
 */
import { DEAD_LETTER_KEPT_BYTES, deadLetterHeaders, truncateDeadLetter } from "../eventlog/dead-letter.ts";
import { LogError } from "../eventlog/errors.ts";
import type { PlainWriter, RecordHeader, TopicPartition } from "../eventlog/port.ts";
import type { DlqReason } from "../processors/formats/names.ts";
import { partitionForKey } from "../eventlog/records/murmur2.ts";
import { AckQueue } from "./ack-queue.ts";
import type { AdmissionGate } from "./admission/gate.ts";
import { HeldMessages } from "./admission/held-messages.ts";
import type { AdmissionReason } from "./admission/settings.ts";
import { shedHeaders } from "./admission/shed-record.ts";
import { BridgeError } from "./errors.ts";
import type { Admission, ForwarderBounds, ForwarderLink, ForwarderParts, PresenceSink, RefusalCode } from "./forwarder-parts.ts";
import { newCounters } from "./forwarder-parts.ts";
import { InFlightPool, type InFlight } from "./in-flight.ts";
import { Qos2Session } from "./qos2-session.ts";
import type { RawHeaders } from "./raw-headers.ts";
import { NO_DEVICE_TOPIC, type Route, type RouteCache } from "./route-cache.ts";
import type { PublishPacket } from "./wire/publish-packet.ts";

/** What a record takes in the writer beside its payload: key, headers, framing; measured about 220 bytes, so that bounds in bytes hold for small messages. */
const RECORD_OVERHEAD_BYTES = 256;

export class Forwarder {
  readonly counters = newCounters();
  readonly #writer: PlainWriter;
  readonly #routes: RouteCache;
  readonly #headers: RawHeaders;
  readonly #link: ForwarderLink;
  readonly #bounds: ForwarderBounds;
  readonly #admission: Admission | undefined;
  readonly #presence: PresenceSink | undefined;
  /** For what is asked seldom. */
  readonly #parts: ForwarderParts;
  readonly #held: HeldMessages;
  readonly #queue = new AckQueue<InFlight>();
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

  constructor(parts: ForwarderParts) {
    this.#writer = parts.writer;
    this.#routes = parts.routes;
    this.#headers = parts.headers;
    this.#link = parts.link;
    this.#bounds = parts.bounds;
    this.#admission = parts.admission;
    this.#presence = parts.presence;
    this.#parts = parts;
    // Half of the window: the other half is what everybody else has while the head of the queue waits.
    const heldBounds = { maxMessages: Math.ceil(parts.bounds.windowMessages / 2), maxBytes: parts.bounds.windowBytes / 2 };
    this.#held = new HeldMessages(heldBounds, parts.admission?.now ?? Date.now, (message) => this.#letIn(message));
  }

  /** Messages that are not durable, or durable and not acknowledged. */
  get inFlight(): number {
    return Math.max(this.#writes, this.#queue.length) + this.#qos0Writes;
  }

  get inFlightBytes(): number {
    return this.#writeBytes + this.#qos0Bytes;
  }

  /** False: no room; the caller offers the same message again after roomAgain(), and reads nothing else until then. */
  take(inbound: PublishPacket): boolean {
    const route = this.#routes.routeOf(inbound.topicBuffer, inbound.topicStart, inbound.topicEnd);
    if (!route.isOwn) return this.#leaveToOthers(inbound);
    const bytes = inbound.payloadEnd - inbound.payloadStart + inbound.propertyBytes + RECORD_OVERHEAD_BYTES;
    if (this.#held.size > 0) this.#held.releaseDue();
    if (inbound.qos === 0) {
      this.counters.received[0]++;
      if (this.#qos0Writes < this.#bounds.qos0Messages && this.#qos0Bytes < this.#bounds.qos0Bytes) {
        this.#start(inbound, route, bytes);
      } else this.counters.shed++;
      return true;
    }
    if (!this.#hasRoom()) {
      this.#refused = true;
      if (this.#queue.head?.held === true) this.#relieve();
      return false;
    }
    this.counters.received[inbound.qos]++;
    if (inbound.qos === 2 && this.#isKnown(inbound)) return true;
    this.#start(inbound, route, bytes);
    return true;
  }

  /** The connection is gone: nothing that came on it is acknowledged any more. Writes go on. */
  connectionLost(): void {
    this.#queue.connectionLost(this.#dropped);
    for (const message of this.#held.takeWhere(({ qos }) => qos > 0)) this.#forgetHeld(message);
    this.#refused = false;
  }

  /** What waits for a token is written at once: the ingress is about to stop. */
  releaseHeld(): void {
    for (const message of this.#held.takeWhere(() => true)) this.#letIn(message);
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
  #isKnown(inbound: PublishPacket): boolean {
    const known = this.#qos2.find(inbound);
    if (known === undefined) return false;
    this.counters.redelivered++;
    // Sent again on one connection: the PUBREC that is coming answers both.
    if (known.waiting !== undefined) return true;
    const message = this.#pool.take();
    message.messageId = inbound.messageId;
    message.qos = 2;
    message.durable = known.durable;
    message.qos2 = known;
    known.waiting = message;
    this.#queue.push(message);
    if (known.durable) this.#scheduleFlush();
    return true;
  }

  /** Acknowledged in its turn, and nothing else: of several slots only one forwards it. */
  #leaveToOthers({ qos, messageId }: PublishPacket): boolean {
    if (qos > 0) {
      if (this.#queue.length >= this.#bounds.windowMessages) {
        this.#refused = true;
        return false;
      }
      const message = this.#pool.take();
      message.messageId = messageId;
      message.qos = qos;
      message.durable = true;
      this.#queue.push(message);
      this.#scheduleFlush();
    }
    this.counters.received[qos]++;
    this.counters.foreign++;
    return true;
  }

  #start(inbound: PublishPacket, route: Route, bytes: number): void {
    const message = this.#pool.take();
    const payload = inbound.buffer.subarray(inbound.payloadStart, inbound.payloadEnd);
    const now = Date.now();
    const isPlain = inbound.userProperties.length === 0;
    const receivedTs = isPlain ? now : (this.#parts.gatewayTime?.receivedTs(inbound.userProperties, now) ?? now);
    message.begin(inbound, route, payload, bytes, receivedTs);
    if (inbound.qos === 0) {
      this.#qos0Writes++;
      this.#qos0Bytes += bytes;
    } else {
      this.#writes++;
      this.#writeBytes += bytes;
      if (inbound.qos === 2) message.qos2 = this.#qos2.begin(inbound, message);
      this.#queue.push(message);
    }
    if (route.key === null) this.#takeBadTopic(message, route, payload);
    else if (route.kind === "state") this.#takeState(message, route, payload);
    else if (this.#admission !== undefined) this.#admit(message, route, payload, this.#admission);
    else if (payload.length > this.#bounds.maxValueBytes) this.#writeTooLarge(message, route, payload);
    else {
      if (this.#presence !== undefined) this.#showsItself(message, route, this.#presence);
      this.#write(message, route.target, route.key, payload, this.#headers.ofMessage(message, route));
    }
  }

  #takeBadTopic(message: InFlight, route: Route, payload: Uint8Array): void {
    if (this.#parts.badTopics.takes(message.bytes + route.topicBytes.length))
      this.#writeDeadLetter(message, route, payload, "bad-topic", NO_DEVICE_TOPIC);
    else this.#finish(message);
  }

  /** Told to presence, which keeps it; nothing of it goes into the raw topic. */
  #takeState(message: InFlight, route: Route, payload: Uint8Array): void {
    const admission = this.#admission;
    if (admission?.gate.takesState(route, admission.now()) === false) return this.#drop(message, route, admission.gate);
    this.#presence?.state(route, payload, message.retain);
    this.#finish(message);
  }

  /** Nothing is written for it: acknowledged in its turn. */
  #finish(message: InFlight): void {
    this.#account(message);
    this.#durable(message);
    this.#pool.giveBackIfUnused(message);
  }

  /** What the broker only remembers, or sends again, is no sign of life. */
  #showsItself({ retain, dup }: InFlight, route: Route, presence: PresenceSink): void {
    if (!retain && !dup) presence.seen(route);
  }

  #admit(message: InFlight, route: Route, payload: Uint8Array, { gate, now }: Admission): void {
    const verdict = gate.decide(route, payload.length, now(), this.#held.canHold(message.bytes));
    if (this.#presence !== undefined && !gate.wasStopped) this.#showsItself(message, route, this.#presence);
    // It fits nowhere else; but who may send nothing floods no topic with dead letters.
    if (verdict !== "drop" && payload.length > this.#bounds.maxValueBytes) return this.#writeTooLarge(message, route, payload);
    switch (verdict) {
      case "pass":
        return this.#write(message, route.target, route.key, payload, this.#headers.ofMessage(message, route));
      case "delay":
        gate.counts.add("delay", gate.reason, route.tenant);
        return this.#held.add(message, gate.releaseAtMs);
      case "shed":
        return this.#shed(message, route, payload, gate.reason);
      case "drop":
        return this.#drop(message, route, gate);
      case "dead-letter":
        return this.#writeDeadLetter(message, route, payload, "too-large", `${payload.length} bytes; more than its tenant may send`);
    }
  }

  /** Its token is there. */
  #letIn(message: InFlight): void {
    const route = message.route;
    if (message.payload !== undefined)
      this.#write(message, route.target, route.key, message.payload, this.#headers.ofMessage(message, route));
  }

  /**
   * The window is full behind a message that waits for its token: nobody else waits for that, so all that is held goes the way
   * of what would have to wait too long.
   */
  #relieve(): void {
    const gate = this.#admission?.gate;
    if (gate === undefined) return;
    for (const message of this.#held.takeWhere(({ qos }) => qos > 0)) {
      const route = message.route;
      gate.giveBack(route);
      if (gate.overflow === "drop") this.#drop(message, route, gate, "window-full");
      else if (message.payload !== undefined) this.#shed(message, route, message.payload, "window-full");
    }
  }

  /** Held, and its connection is gone: the broker sends it again. */
  #forgetHeld(message: InFlight): void {
    this.#admission?.gate.giveBack(message.route);
    this.#account(message);
    if (message.qos2 !== undefined) this.#qos2.forget(message.messageId, message.qos2);
    this.#pool.giveBackIfUnused(message);
  }

  #shed(message: InFlight, route: Route, payload: Uint8Array, reason: AdmissionReason): void {
    if (this.#admission === undefined || route.key === null) return;
    message.shed = reason;
    this.#tellOf(message, route, reason);
    const { topic, partitions } = this.#admission.shed;
    const to = { topic, partition: partitionForKey(route.key, 0, route.key.length, partitions) };
    this.#write(message, to, route.key, payload, shedHeaders(reason, this.#headers.ofMessage(message, route)));
  }

  #drop(message: InFlight, route: Route, gate: AdmissionGate, reason = gate.reason): void {
    gate.counts.add("drop", reason, route.tenant);
    this.#tellOf(message, route, reason);
    this.#finish(message);
  }

  /** Of a report to its shadow a device is told that it was refused; not of what the broker only remembers. */
  #tellOf(message: InFlight, route: Route, code: RefusalCode): void {
    if (route.kind === "shadow" && !message.retain) this.#parts.refusedReports?.(message, route, code);
  }

  #writeTooLarge(message: InFlight, route: Route, payload: Uint8Array): void {
    const text = `${payload.length} bytes; validation.maxValueBytes is ${this.#bounds.maxValueBytes}`;
    this.#writeDeadLetter(message, route, payload, "too-large", text);
  }

  #writeDeadLetter(message: InFlight, route: Route, payload: Uint8Array, reason: DlqReason, text: string): void {
    message.deadLetter = reason;
    if (reason === "too-large") this.#tellOf(message, route, reason);
    const keepsAll = reason !== "too-large" && payload.length <= this.#bounds.maxValueBytes;
    const { value, cut } = truncateDeadLetter(payload, keepsAll ? payload.length : DEAD_LETTER_KEPT_BYTES);
    const original = this.#headers.ofMessage(message, route);
    const source = route.topic;
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
      this.#writeTooLarge(message, message.route, message.payload);
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
    if (message.deadLetter !== undefined) deadLetters.set(message.deadLetter, (deadLetters.get(message.deadLetter) ?? 0) + 1);
    else if (message.shed !== undefined) this.#admission?.gate.counts.add("shed", message.shed, message.route.tenant);
    else this.counters.written++;
    this.#durable(message);
  }

  #durable(message: InFlight): void {
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
