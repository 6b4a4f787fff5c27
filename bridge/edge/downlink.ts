/**
 * What comes down: messages of the upstream broker for devices that are here, on a connection and in a session of its own. The broker
 * hears of a message's end as MQTT's acknowledgement, in order:
 *
 *   QoS 1: PUBACK when the device has acknowledged, or it was given up (down-message.ts says for what).
 *   QoS 2: PUBREC at once, and to the device only after PUBREL: from then on the broker never sends it again, so not even a crash
 *          in between makes it come twice. It may be lost then, which is what at-most-once allows.
 *
 * Nothing of it is on disk: what a device missed is sent again by who wants it done.
 */
import type { Logger } from "pino";
import { AckQueue, type Awaiting } from "../ack-queue.ts";
import { resolveMqttSettings, type MqttSettings } from "../ingress-settings.ts";
import { MqttIntake } from "../mqtt-intake.ts";
import type { PublishPacket } from "../wire/publish-packet.ts";
import { DELIVERIES, bytesOf, downMessage, type Delivery, type DownMessage } from "./down-message.ts";
import type { Delivered } from "./outgoing.ts";
import type { ReadersUpstream } from "./readers.ts";
import type { DownlinkSettings } from "./settings.ts";
import { UpstreamTopics } from "./upstream-topics.ts";

export interface DownlinkOptions {
  /** Its topics and client id are not used. */
  readonly mqtt: MqttSettings;
  readonly gatewayId: string;
  readonly settings: DownlinkSettings;
  readonly logger: Logger;
}

export interface DownlinkStats {
  readonly connected: boolean;
  /** Subscribed upstream. */
  readonly topics: number;
  readonly refusedSubscriptions: number;
  readonly received: number;
  readonly deliveries: Readonly<Record<Delivery, number>>;
}

/** Of messages that no device has acknowledged yet, all devices together. Bytes. */
const MAX_BYTES = 16 * 1024 * 1024;
/** QoS 2 messages between PUBREC and PUBREL; a broker that keeps to Receive Maximum has fewer. */
const MAX_UNRELEASED = 1_000;
const STOP_TIMEOUT_MS = 2_000;

interface Taken extends Awaiting {
  durable: boolean;
}

export class Downlink implements ReadersUpstream {
  readonly #settings: DownlinkSettings;
  readonly #logger: Logger;
  readonly #topics: UpstreamTopics;
  readonly #intake: MqttIntake;
  readonly #queue = new AckQueue<Taken>();
  /** By packet id. */
  readonly #unreleased = new Map<number, DownMessage>();
  readonly #deliveries = Object.fromEntries(DELIVERIES.map((delivery) => [delivery, 0])) as Record<Delivery, number>;
  #deliver: (message: DownMessage, done: Delivered) => boolean = () => false;
  #received = 0;
  #bytes = 0;
  #refused = false;
  #flushScheduled = false;
  #state: "new" | "running" | "stopped" = "new";

  /** Throws BridgeError `bad-settings`. */
  constructor({ mqtt, gatewayId, settings, logger }: DownlinkOptions) {
    this.#settings = settings;
    this.#logger = logger;
    const { windowMessages } = settings;
    const named = { ...mqtt, clientId: `${gatewayId}-down`, topics: ["unused"], qos: 2, windowMessages } as const;
    this.#intake = new MqttIntake(
      { ...resolveMqttSettings(named), topics: [], stateTopics: [], formerTopics: [] },
      {
        take: (packet) => this.#take(packet),
        released: (messageId) => this.#release(messageId),
        connectionOpened: (sessionPresent) => this.#opened(sessionPresent),
        connectionLost: () => this.#lost(),
        ready: () => this.#topics.ready(),
      },
      logger,
    );
    this.#topics = new UpstreamTopics(this.#intake, logger);
  }

  /** @param deliver to who reads its topic; false: nobody */
  deliverTo(deliver: (message: DownMessage, done: Delivered) => boolean): void {
    this.#deliver = deliver;
  }

  /** Connects when there is the first reader: what waits in the session is for devices that are here. */
  add(topic: string): void {
    this.#topics.add(topic);
    if (this.#state !== "new") return;
    this.#state = "running";
    this.#intake.start().catch((error: unknown) => {
      if (this.#state === "running") this.#logger.error({ err: error }, "nothing comes down to devices");
    });
  }

  remove(topic: string): void {
    this.#topics.remove(topic);
  }

  stats(): DownlinkStats {
    const { size: topics, refused: refusedSubscriptions } = this.#topics;
    return {
      connected: this.#intake.connected,
      topics,
      refusedSubscriptions,
      received: this.#received,
      deliveries: { ...this.#deliveries },
    };
  }

  /** The session stays, with its subscriptions: what is not acknowledged comes again after the next start. */
  async stop(): Promise<void> {
    const wasRunning = this.#state === "running";
    this.#state = "stopped";
    if (!wasRunning) return;
    this.#intake.pause();
    await this.#intake.end(STOP_TIMEOUT_MS);
  }

  #take(packet: PublishPacket): boolean {
    const { qos, messageId } = packet;
    if (qos > 0 && this.#queue.length >= this.#settings.windowMessages) {
      this.#refused = true;
      return false;
    }
    this.#received++;
    const message = downMessage(packet, performance.now());
    if (qos === 0) {
      this.#pass(message, () => undefined);
      return true;
    }
    const taken: Taken = { messageId, qos, durable: false, queued: false };
    this.#queue.push(taken);
    if (qos === 1) this.#pass(message, () => this.#answer(taken));
    else {
      this.#keep(messageId, message);
      this.#answer(taken);
    }
    return true;
  }

  /** Sent again under its id it is the same; another under that id means that the broker knows nothing of the first any more. */
  #keep(messageId: number, message: DownMessage): void {
    this.#forget(messageId);
    if (this.#unreleased.size >= MAX_UNRELEASED || !this.#takeBytes(message)) this.#count("full");
    else this.#unreleased.set(messageId, message);
  }

  #release(messageId: number): void {
    const message = this.#forget(messageId);
    if (message !== undefined) this.#pass(message, () => undefined);
  }

  #forget(messageId: number): DownMessage | undefined {
    const message = this.#unreleased.get(messageId);
    if (message === undefined) return undefined;
    this.#unreleased.delete(messageId);
    this.#bytes -= bytesOf(message);
    return message;
  }

  #pass(message: DownMessage, over: () => void): void {
    if (!this.#takeBytes(message)) {
      this.#count("full");
      return over();
    }
    const done = (delivery: Delivery): void => {
      this.#bytes -= bytesOf(message);
      this.#count(delivery);
      over();
    };
    if (this.#deliver(message, done)) return;
    this.#topics.unread(message.topic);
    done("away");
  }

  #takeBytes(message: DownMessage): boolean {
    const bytes = bytesOf(message);
    if (this.#bytes + bytes > MAX_BYTES) return false;
    this.#bytes += bytes;
    return true;
  }

  #count(delivery: Delivery): void {
    this.#deliveries[delivery]++;
  }

  #answer(taken: Taken): void {
    taken.durable = true;
    if (!taken.queued || this.#flushScheduled) return;
    this.#flushScheduled = true;
    process.nextTick(() => this.#flush());
  }

  #flush(): void {
    this.#flushScheduled = false;
    const acks = this.#queue.takeAcks(() => undefined);
    if (acks !== undefined) this.#intake.sendAcks(acks);
    if (!this.#refused || this.#queue.length >= this.#settings.windowMessages) return;
    this.#refused = false;
    this.#intake.roomAgain();
  }

  #opened(sessionPresent: boolean): void {
    this.#topics.opened(sessionPresent);
    if (sessionPresent) return;
    for (const messageId of [...this.#unreleased.keys()]) {
      this.#forget(messageId);
      this.#count("session-lost");
    }
  }

  #lost(): void {
    this.#topics.lost();
    this.#queue.connectionLost(() => undefined);
    this.#refused = false;
  }
}
