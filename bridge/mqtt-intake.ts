/**
 * The MQTT.js client, with its acknowledgements taken over. Read against mqtt 5.16.0:
 * - build/lib/handlers/publish.js, QoS 1: `handleMessage` answered with an error skips the PUBACK and goes on with the
 *   next packet. QoS 2: `customHandleAcks` answered with an error skips store and PUBREC, goes on, and emits the error,
 *   which the listener here knows and drops. (The constructor honours that option for MQTT 5 only; set on
 *   `client.options` later it works for both.)
 * - build/lib/handlers/pubrel.js: asks `incomingStore.get`; since nothing was ever stored it answers PUBCOMP at once.
 * - build/lib/client.js: packets parsed before a lost connection's `close` may still be handled after it, and packets
 *   right behind a CONNACK are handled before `connect` is emitted. So what may be taken hangs on `#open`, which
 *   follows CONNACK and close themselves.
 * - A packet that cannot be read is an `error` and nothing else: it would go on with the next bytes, wherever they begin. And it takes
 *   a broken CONNACK for one, and a DISCONNECT for news. So whatever it calls an error ends the connection here, and so do those.
 * Acknowledgements are written to `client.stream` as bytes: whole packets, a burst in one write.
 *
 *   new --start--> running --pause--> draining --end--> ended
 */
import { connect, Store, type IClientOptions, type ISubscriptionMap, type MqttClient } from "mqtt";
import type { IConnackPacket, IPublishPacket, Packet } from "mqtt-packet";
import type { Logger } from "pino";
import { BridgeError } from "./errors.ts";
import type { InboundMessage } from "./forwarder-parts.ts";
import type { ResolvedMqttSettings } from "./ingress-settings.ts";

export interface IntakeHandlers {
  /** False: no room; offered again after roomAgain(). */
  take(message: InboundMessage): boolean;
  released(messageId: number): void;
  connectionOpened(sessionPresent: boolean): void;
  connectionLost(): void;
}

/** How soon new credentials are noticed. ms. */
const REFRESH_CHECK_MS = 1_000;

type Done = (error: Error) => void;

/** Answers MQTT.js's "shall I acknowledge?" with no. */
const NOT_YET = new Error("acknowledged later, by the ingress");

/** MQTT.js asks it for the stored message when PUBREL comes; nothing is stored, the question is the news. */
class PubrelStore extends Store {
  readonly #released: (messageId: number) => void;

  constructor(released: (messageId: number) => void) {
    super();
    this.#released = released;
  }

  override get(packet: Parameters<Store["get"]>[0], callback: Parameters<Store["get"]>[1]): this {
    if (packet.messageId !== undefined) this.#released(packet.messageId);
    return super.get(packet, callback);
  }
}

export class MqttIntake {
  readonly #settings: ResolvedMqttSettings;
  readonly #handlers: IntakeHandlers;
  readonly #logger: Logger;
  #client: MqttClient | undefined;
  #state: "new" | "running" | "draining" | "ended" = "new";
  /** Between a good CONNACK and the loss of its connection. */
  #open = false;
  #openedAt = 0;
  /** The session at the broker has our subscription. */
  #subscribed = false;
  /** Connections lost in a row without an acknowledgement sent; sets the back-off. */
  #failures = 0;
  #held: { packet: IPublishPacket; done: Done } | undefined;
  /** A message came since the last look. */
  #heard = false;
  #keepaliveTimer: NodeJS.Timeout | undefined;
  #refreshTimer: NodeJS.Timeout | undefined;
  /** Of the credentials that the connection, or the next attempt at one, has. */
  #credentialsVersion = 0;
  #started: { resolve: () => void; reject: (error: Error) => void } | undefined;
  reconnects = 0;

  constructor(settings: ResolvedMqttSettings, handlers: IntakeHandlers, logger: Logger) {
    this.#settings = settings;
    this.#handlers = handlers;
    this.#logger = logger;
  }

  get connected(): boolean {
    return this.#open;
  }

  /** Resolves when subscribed; until then connects again and again. Rejects with `stopped`, or `bad-settings`. */
  start(): Promise<void> {
    const started = new Promise<void>((resolve, reject) => (this.#started = { resolve, reject }));
    const client = this.#connect();
    this.#client = client;
    this.#state = "running";
    client.handleMessage = (packet, done) => this.#offer(packet, done);
    client.options.customHandleAcks = (_topic, _payload, packet: IPublishPacket, done) => {
      if (packet.qos === 2) this.#offer(packet, done);
      else done(0);
    };
    client.on("error", (error) => {
      if (error === NOT_YET) return;
      this.#logger.warn({ err: error, broker: this.#brokerName() }, "mqtt connection error");
      if (isVersionRefused(error)) client.options.protocolVersion = 4;
      this.#abandon();
    });
    client.on("disconnect", ({ reasonCode }) => {
      this.#logger.warn({ reasonCode, broker: this.#brokerName() }, "the broker ends the mqtt connection");
      this.#abandon();
    });
    client.on("connect", (packet) => this.#ensureSubscribed(client, packet));
    client.on("reconnect", () => this.reconnects++);
    client.once("packetreceive", this.#onFirstPacket);
    // Before MQTT.js's own listener, which sets the reconnect timer from the period that is set here.
    client.prependListener("close", () => this.#onClose(client));
    if (this.#settings.refresh !== undefined)
      this.#refreshTimer = setInterval(() => this.#reconnectIfRefreshed(), REFRESH_CHECK_MS).unref();
    return started;
  }

  /** The caller vouches that these belong to messages of the connection that is open now. */
  sendAcks(acks: Buffer): void {
    const stream = this.#client?.stream;
    if (!this.#open || stream === undefined || !stream.writable) return;
    this.#failures = 0;
    stream.write(acks);
  }

  /** Ends the connection without a DISCONNECT: the broker delivers what is unacknowledged again after the reconnect. */
  redeliver(error: Error): void {
    if (!this.#open) return;
    this.#logger.error({ err: error, failures: this.#failures + 1 }, "ending the mqtt connection, so that the broker delivers again");
    this.#abandon();
  }

  roomAgain(): void {
    const held = this.#held;
    if (held === undefined || this.#state !== "running") return;
    this.#held = undefined;
    this.#offer(held.packet, held.done);
  }

  /** Takes no more messages; the connection stays, for acknowledgements. */
  pause(): void {
    if (this.#state === "running") this.#state = "draining";
  }

  /** DISCONNECT (the session stays at the broker) and close, within `timeoutMs`. */
  async end(timeoutMs: number): Promise<void> {
    const client = this.#client;
    this.#state = "ended";
    clearInterval(this.#refreshTimer);
    this.#started?.reject(new BridgeError("stopped", "stopped before the broker was reached"));
    this.#started = undefined;
    this.#dropHeld();
    if (client === undefined) return;
    let timer: NodeJS.Timeout | undefined;
    await Promise.race([
      client.endAsync(!this.#open),
      new Promise<void>((resolve) => {
        timer = setTimeout(() => {
          client.stream.destroy();
          resolve();
        }, timeoutMs);
      }),
    ]);
    clearTimeout(timer);
  }

  #connect(): MqttClient {
    const { url, clientId, protocolVersion, keepaliveS, sessionExpiryS, windowMessages, username, password, tls } = this.#settings;
    const options: IClientOptions = {
      clientId,
      protocolVersion,
      clean: false,
      keepalive: keepaliveS,
      username,
      password,
      ...tls,
      ...this.#freshCredentials(),
      reconnectPeriod: this.#backOffMs(),
      reconnectOnConnackError: true,
      connectTimeout: this.#settings.connectTimeoutMs,
      resubscribe: false,
      incomingStore: new PubrelStore((messageId) => this.#handlers.released(messageId)),
      timerVariant: "native",
      ...(protocolVersion === 5 ? { properties: { sessionExpiryInterval: sessionExpiryS, receiveMaximum: windowMessages } } : {}),
    };
    try {
      return connect(url, options);
    } catch (error) {
      throw new BridgeError("bad-settings", `mqtt.url: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
  }

  #freshCredentials(): Partial<IClientOptions> {
    const { refresh } = this.#settings;
    if (refresh === undefined) return {};
    this.#credentialsVersion = refresh.version();
    return refresh.current();
  }

  /** What is not acknowledged comes again on the next connection, as after any other end of one. */
  #reconnectIfRefreshed(): void {
    if (!this.#open || this.#state !== "running" || this.#settings.refresh?.version() === this.#credentialsVersion) return;
    this.#logger.info({ broker: this.#brokerName() }, "new mqtt credentials: connecting again");
    this.#abandon();
  }

  readonly #onFirstPacket = (packet: Packet): void => {
    const code = packet.cmd === "connack" ? (packet.reasonCode ?? packet.returnCode) : undefined;
    if (packet.cmd !== "connack" || code === undefined) {
      this.#breach(`${packet.cmd} instead of a CONNACK`);
      return;
    }
    if (code !== 0) return; // an error of MQTT.js
    this.#open = true;
    this.#openedAt = Date.now();
    this.#keepaliveTimer = setInterval(this.#keepAlive, (this.#settings.keepaliveS * 1000) / 3);
    if (!packet.sessionPresent) this.#subscribed = false;
    this.#handlers.connectionOpened(packet.sessionPresent);
  };

  #ensureSubscribed(client: MqttClient, { sessionPresent }: IConnackPacket): void {
    this.#logger.info({ broker: this.#brokerName(), sessionPresent }, "connected to mqtt broker");
    if (this.#subscribed || this.#state !== "running") return;
    const { topics, stateTopics, qos } = this.#settings;
    // MQTT 5 only: retained telemetry (rh 1) for a subscription that is new, not each time this process starts; retained states
    // (rh 0) each time, as they say what happened meanwhile.
    const wanted: ISubscriptionMap = {};
    for (const topic of topics) wanted[topic] = { qos, rh: 1 };
    for (const topic of stateTopics) wanted[topic] = { qos, rh: 0 };
    client.subscribe(wanted, (error, granted) => {
      if (error) {
        this.redeliver(new BridgeError("subscribe-refused", `subscribe failed: ${error.message}`, { cause: error }));
        return;
      }
      for (const grant of granted ?? []) {
        if (grant.qos < qos) this.#logger.warn({ topic: grant.topic, asked: qos, granted: grant.qos }, "broker granted a lower QoS");
      }
      this.#subscribed = true;
      this.#started?.resolve();
      this.#started = undefined;
    });
  }

  #offer(packet: IPublishPacket, done: Done): void {
    this.#heard = true;
    // Dropped without an acknowledgement: it belongs to a connection that is gone, or to the next start.
    if (!this.#open || this.#state === "ended") done(NOT_YET);
    else if (packet.qos > 0 && !((packet.messageId ?? 0) > 0)) {
      // 0 is forbidden [MQTT-2.2.1-3]; below it: the packet ended before its id.
      this.#breach("a PUBLISH without a packet id");
      done(NOT_YET);
    } else if (this.#state === "running" && this.#handlers.take(packet)) done(NOT_YET);
    else this.#hold(packet, done);
  }

  /** Back-pressure: MQTT.js reads nothing more until `done`. */
  #hold(packet: IPublishPacket, done: Done): void {
    this.#held = { packet, done };
  }

  /**
   * MQTT.js goes by PINGRESP alone, and that comes behind all that the broker has sent before it: not at all while a message is held, and
   * late with a long queue. Mosquitto 2.0.11 sent 50 MB ahead; the connection was given up, and all of it came again.
   */
  readonly #keepAlive = (): void => {
    if (this.#held === undefined && !this.#heard) return;
    this.#heard = false;
    this.#client?.sendPing();
    this.#client?.reschedulePing(true);
  };

  #dropHeld(): void {
    const held = this.#held;
    this.#held = undefined;
    held?.done(NOT_YET);
  }

  #breach(what: string): void {
    this.#logger.warn({ broker: this.#brokerName() }, `the broker breaks the protocol: ${what}`);
    this.#abandon();
  }

  /** Ends the connection without a DISCONNECT. What it had not acknowledged comes again on the next. */
  #abandon(): void {
    this.#lose();
    this.#client?.stream.destroy();
  }

  #lose(): void {
    if (!this.#open) return;
    this.#open = false;
    clearInterval(this.#keepaliveTimer);
    // A connection that held for longer than the longest back-off was a good one.
    if (Date.now() - this.#openedAt > this.#settings.reconnectMaxMs) this.#failures = 0;
    this.#handlers.connectionLost();
    this.#dropHeld();
  }

  #onClose(client: MqttClient): void {
    this.#lose();
    this.#failures++;
    client.options.reconnectPeriod = this.#backOffMs();
    Object.assign(client.options, this.#freshCredentials());
    client.off("packetreceive", this.#onFirstPacket);
    client.once("packetreceive", this.#onFirstPacket);
  }

  /** Doubles per failure up to the maximum; half of it is random, so that replicas don't come back in step. */
  #backOffMs(): number {
    const { reconnectMinMs, reconnectMaxMs } = this.#settings;
    const full = Math.min(reconnectMaxMs, reconnectMinMs * 2 ** Math.min(this.#failures, 16));
    return Math.ceil(full / 2 + (Math.random() * full) / 2);
  }

  /** Without user and password, which a URL may hold. */
  #brokerName(): string {
    return URL.parse(this.#settings.url)?.host ?? "";
  }
}

/** Return code 1 of a broker that knows MQTT 3.1.1 only, or MQTT 5's 0x84: the next attempt asks for 3.1.1. */
export function isVersionRefused(error: Error): boolean {
  return "code" in error && (error.code === 1 || error.code === 132);
}
