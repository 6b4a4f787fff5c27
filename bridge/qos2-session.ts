/**
 * Packet ids of QoS 2 messages between PUBLISH and PUBREL. A PUBLISH whose id is here is the same message sent again,
 * DUP flag or not [MQTT-4.3.3-10], and must not be written twice; it gets its PUBREC when the first write is durable.
 * Lives as long as the broker's session, so across reconnects; at most 65,535 ids, as the protocol has no more.
 *
 * Mosquitto 2.0.11 has more than that outstanding when it has a long queue (it sends past Receive Maximum and max_inflight_messages),
 * and gives an id to another message before the first is released. By the id alone that message would be lost: so an id stands for
 * its message's content too.
 */
import { crc32 } from "node:zlib";
import type { InFlight } from "./in-flight.ts";
import type { PublishPacket } from "./wire/publish-packet.ts";

export interface Qos2Message {
  readonly fingerprint: number;
  durable: boolean;
  /** Stands in the AckQueue of the present connection and waits for the write. */
  waiting: InFlight | undefined;
}

export class Qos2Session {
  readonly #messages = new Map<number, Qos2Message>();

  get size(): number {
    return this.#messages.size;
  }

  /** Undefined also for an id that stands for a message with another fingerprint. */
  find(packet: PublishPacket): Qos2Message | undefined {
    const message = this.#messages.get(packet.messageId);
    return message !== undefined && message.fingerprint === fingerprintOf(packet) ? message : undefined;
  }

  begin(packet: PublishPacket, waiting: InFlight): Qos2Message {
    const message = { fingerprint: fingerprintOf(packet), durable: false, waiting };
    this.#messages.set(packet.messageId, message);
    return message;
  }

  /** PUBREL came: the id is free for another message. */
  release(messageId: number): void {
    this.#messages.delete(messageId);
  }

  /** The write failed: the message sent again must be written again. */
  forget(messageId: number, message: Qos2Message): void {
    if (this.#messages.get(messageId) === message) this.#messages.delete(messageId);
  }

  /** The broker has no session of ours any more. */
  clear(): void {
    this.#messages.clear();
  }
}

/** Of what a redelivery has in common with its first delivery. */
function fingerprintOf(packet: PublishPacket): number {
  const { topicBuffer, topicStart, topicEnd, buffer, payloadStart, payloadEnd } = packet;
  return crc32(buffer.subarray(payloadStart, payloadEnd), crc32(topicBuffer.subarray(topicStart, topicEnd)));
}
