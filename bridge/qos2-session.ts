/**
 * Packet ids of QoS 2 messages between PUBLISH and PUBREL. A PUBLISH whose id is here is the same message sent again,
 * DUP flag or not [MQTT-4.3.3-10], and must not be written twice; it gets its PUBREC when the first write is durable.
 * Lives as long as the broker's session, so across reconnects; at most 65,535 ids, as the protocol has no more.
 */
import type { InFlight } from "./in-flight.ts";

export interface Qos2Message {
  durable: boolean;
  /** Stands in the AckQueue of the present connection and waits for the write. */
  waiting: InFlight | undefined;
}

export class Qos2Session {
  readonly #messages = new Map<number, Qos2Message>();

  get size(): number {
    return this.#messages.size;
  }

  find(messageId: number): Qos2Message | undefined {
    return this.#messages.get(messageId);
  }

  begin(messageId: number, waiting: InFlight): Qos2Message {
    const message = { durable: false, waiting };
    this.#messages.set(messageId, message);
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
