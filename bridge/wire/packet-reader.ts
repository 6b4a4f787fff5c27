/**
 * Splits what a broker sends into packets. PUBLISH, PUBREL and the outcome in CONNACK are read here, in place and at once; all other
 * packets are handed on whole, for MQTT.js. Source: MQTT 3.1.1 and 5.0, sections 2 and 3.
 */
import { malformed } from "./malformed.ts";
import { readProperties } from "./properties.ts";
import { PublishPacket } from "./publish-packet.ts";

export interface PacketSink {
  /** Before other() gets the packet itself. */
  connack(accepted: boolean, sessionPresent: boolean): void;
  /** The packet is the reader's own, valid during the call. False: no room; resume() offers it again. */
  publish(packet: PublishPacket): boolean;
  pubrel(messageId: number): void;
  other(packet: Buffer): void;
}

const CONNACK = 2;
const PUBLISH = 3;
const PUBREL = 6;
const AUTH = 15;
/** Type and flags, and at most four bytes of remaining length. */
const MAX_FIXED_HEADER_BYTES = 5;
const NOTHING = Buffer.alloc(0);

export class PacketReader {
  readonly #sink: PacketSink;
  readonly #isVersion5: boolean;
  readonly #maxTopicAlias: number;
  readonly #packet = new PublishPacket();
  /** Topics by alias, of this connection. */
  readonly #aliases = new Map<number, Buffer>();
  /** Bytes not read yet, from `#at` on, and what has come behind them while they wait for the rest of a packet. */
  #bytes: Buffer = NOTHING;
  #at = 0;
  #parts: Buffer[] = [];
  #partBytes = 0;
  /** Until so many bytes are there, no try is made. */
  #needed = 0;
  /** Of the packet at `#at`: behind its fixed header. */
  #bodyStart = 0;
  #isConnected = false;
  #isWaiting = false;
  #isStopped = false;

  /** @param maxTopicAlias what CONNECT allowed the broker; 0: none */
  constructor(sink: PacketSink, protocolVersion: number, maxTopicAlias = 0) {
    this.#sink = sink;
    this.#isVersion5 = protocolVersion === 5;
    this.#maxTopicAlias = maxTopicAlias;
  }

  /** False: publish() had no room; nothing more is read before resume() is true again. Throws BridgeError `malformed-packet`. */
  push(chunk: Buffer): boolean {
    if (this.#isStopped) return true;
    const left = this.#bytes.length - this.#at;
    if (left === 0 && this.#partBytes === 0) {
      this.#bytes = chunk;
      this.#at = 0;
    } else {
      this.#parts.push(chunk);
      this.#partBytes += chunk.length;
    }
    return this.#isWaiting ? false : this.#read();
  }

  /** Bytes that have come and are not read. */
  get waitingBytes(): number {
    return this.#bytes.length - this.#at + this.#partBytes;
  }

  /** As push(), with what is there already. */
  resume(): boolean {
    this.#isWaiting = false;
    return this.#read();
  }

  /** Forgets what it has, and reads nothing more: the connection is gone. */
  stop(): void {
    this.#isStopped = true;
    this.#bytes = NOTHING;
    this.#at = 0;
    this.#parts = [];
    this.#partBytes = 0;
  }

  #read(): boolean {
    for (;;) {
      const left = this.#bytes.length - this.#at;
      if (left < this.#needed || left < 2) {
        if (this.#partBytes === 0 || left + this.#partBytes < Math.max(2, this.#needed)) return true;
        this.#join();
        continue;
      }
      const end = this.#packetEnd();
      if (end === undefined) {
        if (this.#partBytes === 0) return true;
        this.#join();
        continue;
      }
      const taken = this.#take(end);
      if (this.#isStopped) return true;
      if (!taken) {
        this.#isWaiting = true;
        return false;
      }
      this.#at = end;
      this.#needed = 0;
    }
  }

  #join(): void {
    this.#bytes = Buffer.concat([this.#bytes.subarray(this.#at), ...this.#parts]);
    this.#at = 0;
    this.#parts = [];
    this.#partBytes = 0;
  }

  /** Where the packet ends; undefined while it is not there as a whole. Sets `#bodyStart`. */
  #packetEnd(): number | undefined {
    const bytes = this.#bytes;
    let remaining = 0;
    let at = this.#at + 1;
    for (let shift = 0; ; shift += 7) {
      if (at - this.#at === MAX_FIXED_HEADER_BYTES) throw malformed("its remaining length has more than four bytes");
      if (at >= bytes.length) {
        this.#needed = at - this.#at + 1;
        return undefined;
      }
      const byte = bytes[at++];
      remaining += (byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    this.#bodyStart = at;
    const end = at + remaining;
    if (end <= bytes.length) return end;
    this.#needed = end - this.#at;
    return undefined;
  }

  /** False: publish() had no room. */
  #take(end: number): boolean {
    const bytes = this.#bytes;
    const first = bytes[this.#at];
    if (!this.#isConnected && first >> 4 !== CONNACK && first >> 4 !== AUTH) throw malformed(`packet type ${first >> 4} before a CONNACK`);
    switch (first >> 4) {
      case PUBLISH:
        this.#fill(first, this.#bodyStart, end);
        return this.#sink.publish(this.#packet);
      case PUBREL:
        if (end - this.#bodyStart < 2) throw malformed("a PUBREL without a packet id");
        this.#sink.pubrel(bytes.readUInt16BE(this.#bodyStart));
        return true;
      case CONNACK:
        if (end - this.#bodyStart < 2) throw malformed("a CONNACK without an outcome");
        this.#isConnected = true;
        this.#sink.connack(bytes[this.#bodyStart + 1] === 0, (bytes[this.#bodyStart] & 1) === 1);
        break;
    }
    this.#sink.other(bytes.subarray(this.#at, end));
    return true;
  }

  #fill(first: number, start: number, end: number): void {
    const bytes = this.#bytes;
    const packet = this.#packet;
    const qos = (first >> 1) & 3;
    if (qos === 3) throw malformed("a PUBLISH with QoS 3");
    if (end - start < 2) throw malformed("a PUBLISH without a topic");
    packet.buffer = bytes;
    packet.qos = qos as 0 | 1 | 2;
    packet.dup = (first & 8) !== 0;
    packet.retain = (first & 1) !== 0;
    packet.topicBuffer = bytes;
    packet.topicStart = start + 2;
    packet.topicEnd = start + 2 + ((bytes[start] << 8) | bytes[start + 1]);
    let at = packet.topicEnd;
    packet.messageId = 0;
    if (qos > 0) {
      if (at + 2 > end) throw malformed("a PUBLISH without a packet id");
      packet.messageId = (bytes[at] << 8) | bytes[at + 1];
      if (packet.messageId === 0) throw malformed("a PUBLISH with packet id 0");
      at += 2;
    } else if (at > end) throw malformed("a PUBLISH whose topic is longer than itself");
    if (this.#isVersion5) at = this.#fillProperties(at, end);
    packet.payloadStart = at;
    packet.payloadEnd = end;
  }

  /** Where the payload begins. */
  #fillProperties(at: number, end: number): number {
    const packet = this.#packet;
    packet.clearProperties();
    // Most messages have none.
    if (at < end && this.#bytes[at] === 0 && packet.topicEnd > packet.topicStart) return at + 1;
    const { alias, payloadStart } = readProperties(this.#bytes, at, end, packet);
    if (alias !== undefined) this.#resolveAlias(alias);
    else if (packet.topicEnd === packet.topicStart) throw malformed("a PUBLISH with neither topic nor alias");
    return payloadStart;
  }

  #resolveAlias(alias: number): void {
    const packet = this.#packet;
    if (alias < 1 || alias > this.#maxTopicAlias) throw malformed(`topic alias ${alias}; 1 to ${this.#maxTopicAlias} was allowed`);
    if (packet.topicEnd > packet.topicStart) {
      this.#aliases.set(alias, Buffer.from(this.#bytes.subarray(packet.topicStart, packet.topicEnd)));
      return;
    }
    const topic = this.#aliases.get(alias);
    if (topic === undefined) throw malformed(`topic alias ${alias} before it was given a topic`);
    packet.topicBuffer = topic;
    packet.topicStart = 0;
    packet.topicEnd = topic.length;
  }
}
