/**
 * What goes down one connection: a window of unacknowledged messages, a bounded queue behind it. Each message is sent once and told of
 * once; one that the device did not acknowledge before its connection ended is not sent again on the next, as it may be one that must
 * not come twice. Who wants it done sends it again (the commands service, the shadow service).
 *
 *   offer() -> waiting -> sent --PUBACK, PUBREC--> delivered;   any --time, end of the connection--> given up
 */
import type { IPubackPacket, IPubcompPacket, IPubrecPacket, IPublishPacket, Packet } from "mqtt-packet";
import type { Delivery, DownMessage } from "./down-message.ts";
import { FIRST_FAILURE } from "../reason-codes.ts";
import type { SessionMemory } from "./session-host.ts";

export type Delivered = (delivery: Delivery) => void;

export interface OutgoingBounds {
  /** Sent and not acknowledged. */
  readonly window: number;
  /** Waiting behind them. */
  readonly queue: number;
  /** From its coming to its acknowledgement. ms. */
  readonly ackTimeoutMs: number;
}

/** The connection. */
export interface OutgoingLink {
  /** False: its socket is full; pump() is called when it is drained. */
  mayWrite(): boolean;
  /** False: larger than the device takes. */
  write(packet: Packet): boolean;
}

interface Entry {
  readonly message: DownMessage;
  readonly qos: 0 | 1 | 2;
  /** Undefined when it was called. */
  done: Delivered | undefined;
}

const MAX_MESSAGE_ID = 65_535;

export class Outgoing {
  readonly #bounds: OutgoingBounds;
  readonly #memory: SessionMemory;
  readonly #link: OutgoingLink;
  #waiting: Entry[] = [];
  /** By packet id. One that was given up for its time keeps its id, and its place in the window, until the device answers. */
  readonly #sent = new Map<number, Entry>();

  constructor(bounds: OutgoingBounds, memory: SessionMemory, link: OutgoingLink) {
    this.#bounds = bounds;
    this.#memory = memory;
    this.#link = link;
  }

  /** QoS 2 messages that the device had, and that were not complete when its last connection ended [MQTT-4.4.0-1]. */
  resume(): void {
    for (const messageId of this.#memory.releasing) this.#link.write({ cmd: "pubrel", messageId });
  }

  /** @param qos granted; `done` is called once. */
  offer(message: DownMessage, qos: 0 | 1 | 2, done: Delivered): void {
    if (this.#waiting.length >= this.#bounds.queue) return done("full");
    this.#waiting.push({ message, qos: Math.min(qos, message.qos) as 0 | 1 | 2, done });
    this.pump();
  }

  /** Sends what may be sent. */
  pump(): void {
    let taken = 0;
    for (const entry of this.#waiting) {
      if (!this.#link.mayWrite() || (entry.qos > 0 && this.#underWay >= this.#bounds.window)) break;
      taken++;
      this.#send(entry);
    }
    if (taken > 0) this.#waiting.splice(0, taken);
  }

  /** What the device says of a message. */
  answered({ cmd, messageId = 0, reasonCode = 0 }: IPubackPacket | IPubrecPacket | IPubcompPacket): void {
    if (cmd === "pubcomp") this.#memory.releasing.delete(messageId);
    else this.#acknowledged(cmd, messageId, reasonCode);
    this.pump();
  }

  #acknowledged(cmd: "puback" | "pubrec", messageId: number, reasonCode: number): void {
    const entry = this.#sent.get(messageId);
    const isRefused = reasonCode >= FIRST_FAILURE;
    if (entry !== undefined && (entry.qos === 2) === (cmd === "pubrec")) {
      this.#sent.delete(messageId);
      settle(entry, isRefused ? "refused" : "delivered");
      if (cmd === "pubrec" && !isRefused) this.#memory.releasing.add(messageId);
    }
    // Of one that is not known any more, too: else the device would wait for it [MQTT-4.3.3-8].
    if (cmd === "pubrec" && !isRefused) this.#link.write({ cmd: "pubrel", messageId });
  }

  /** Gives up what waits for too long; call it every second or so. */
  expire(nowMs: number): void {
    const isOver = ({ message }: Entry): boolean => nowMs - message.cameAtMs >= this.#bounds.ackTimeoutMs;
    for (const entry of this.#sent.values()) if (isOver(entry)) settle(entry, "timeout");
    const over = this.#waiting.filter(isOver);
    if (over.length === 0) return;
    this.#waiting = this.#waiting.filter((entry) => !isOver(entry));
    for (const entry of over) settle(entry, "timeout");
  }

  /** The connection is gone. */
  close(): void {
    const left = [...this.#sent.values(), ...this.#waiting];
    this.#sent.clear();
    this.#waiting = [];
    for (const entry of left) settle(entry, "away");
  }

  get #underWay(): number {
    return this.#sent.size + this.#memory.releasing.size;
  }

  #send(entry: Entry): void {
    const { message, qos } = entry;
    const { topic, payload, messageExpiryS } = message;
    let expiry = messageExpiryS;
    if (expiry !== undefined) {
      expiry -= Math.floor((performance.now() - message.cameAtMs) / 1000);
      if (expiry <= 0) return settle(entry, "expired");
    }
    const packet: IPublishPacket = { cmd: "publish", topic, payload, qos, dup: false, retain: false };
    packet.properties = expiry === undefined ? message.properties : { ...message.properties, messageExpiryInterval: expiry };
    if (qos > 0) packet.messageId = this.#nextMessageId();
    if (!this.#link.write(packet)) return settle(entry, "too-large");
    if (packet.messageId === undefined) settle(entry, "delivered");
    else this.#sent.set(packet.messageId, entry);
  }

  #nextMessageId(): number {
    const memory = this.#memory;
    do memory.lastMessageId = (memory.lastMessageId % MAX_MESSAGE_ID) + 1;
    while (this.#sent.has(memory.lastMessageId) || memory.releasing.has(memory.lastMessageId));
    return memory.lastMessageId;
  }
}

function settle(entry: Entry, delivery: Delivery): void {
  const { done } = entry;
  entry.done = undefined;
  done?.(delivery);
}
