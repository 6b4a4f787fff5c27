/**
 * The order of acknowledgements: PUBACK and PUBREC go in the order their PUBLISH came [MQTT-4.6.0-2, -3], and only for
 * messages that came on the connection that is open now. A late acknowledgement after a reconnect could confirm
 * another message that has the same packet id by then (reproduced), so connectionLost() forgets every entry.
 */

/** Fixed headers of MQTT 3.1.1 and 5 alike: type, then remaining length 2; without a reason code 5 means success. */
const PUBACK = 0x40;
const PUBREC = 0x50;
const ACK_BYTES = 4;

/** What stands in it. */
export interface Awaiting {
  readonly messageId: number;
  readonly qos: 0 | 1 | 2;
  /** It may be acknowledged. */
  readonly durable: boolean;
  queued: boolean;
}

export class AckQueue<M extends Awaiting> {
  /** A ring; its length is a power of two and grows with the window, which bounds it. */
  #ring: (M | undefined)[] = new Array<M | undefined>(64).fill(undefined);
  #head = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** The message whose acknowledgement is the next to go. */
  get head(): M | undefined {
    return this.#ring[this.#head];
  }

  push(message: M): void {
    if (this.#length === this.#ring.length) this.#grow();
    this.#ring[(this.#head + this.#length++) & (this.#ring.length - 1)] = message;
    message.queued = true;
  }

  /** Takes the durable messages from the head; their acknowledgements as one buffer, or undefined when the head still waits. */
  takeAcks(taken: (message: M) => void): Buffer | undefined {
    const count = this.#durableRun();
    if (count === 0) return undefined;
    const acks = Buffer.allocUnsafe(count * ACK_BYTES);
    for (let at = 0; at < acks.length; at += ACK_BYTES) {
      const message = this.#shift();
      acks[at] = message.qos === 2 ? PUBREC : PUBACK;
      acks[at + 1] = 2;
      acks.writeUInt16BE(message.messageId, at + 2);
      taken(message);
    }
    return acks;
  }

  /** Nothing that came on the lost connection is ever acknowledged: the broker delivers it again. */
  connectionLost(dropped: (message: M) => void): void {
    while (this.#length > 0) dropped(this.#shift());
  }

  #durableRun(): number {
    let count = 0;
    while (count < this.#length && this.#ring[(this.#head + count) & (this.#ring.length - 1)]?.durable === true) count++;
    return count;
  }

  #shift(): M {
    const message = this.#ring[this.#head];
    if (message === undefined) throw new RangeError("the acknowledgement queue is empty");
    this.#ring[this.#head] = undefined;
    this.#head = (this.#head + 1) & (this.#ring.length - 1);
    this.#length--;
    message.queued = false;
    return message;
  }

  #grow(): void {
    const ring = new Array<M | undefined>(this.#ring.length * 2).fill(undefined);
    for (let i = 0; i < this.#length; i++) ring[i] = this.#ring[(this.#head + i) & (this.#ring.length - 1)];
    this.#ring = ring;
    this.#head = 0;
  }
}
