/**
 * The connection to the MQTT broker: MQTT.js 5.16.0 makes it, keeps it alive, subscribes and connects again; messages and their
 * acknowledgements do not go through it (wire/connection-tap.ts). Acknowledgements are written to `client.stream` as bytes: whole packets,
 * a burst in one write. What may be taken hangs on `#open`, which follows CONNACK and close themselves: messages right behind a CONNACK
 * come before MQTT.js says `connect`. Whatever MQTT.js calls an error, or the broker a reason to disconnect, ends the connection here:
 * MQTT.js itself would go on with the next bytes, wherever they begin.
 *
 *   new --start--> running --pause--> draining --end--> ended
 */
import type { Duplex } from "node:stream";
import { connect, type IClientOptions, type ISubscriptionMap, type MqttClient } from "mqtt";
import type { IConnackPacket } from "mqtt-packet";
import type { Logger } from "pino";
import { pauseMs } from "../eventlog/back-off.ts";
import { BridgeError } from "./errors.ts";
import type { ResolvedMqttSettings } from "./ingress-settings.ts";
import { ConnectionTap } from "./wire/connection-tap.ts";
import type { PublishPacket } from "./wire/publish-packet.ts";
import { within } from "./within.ts";

export interface IntakeHandlers {
  /** False: no room; offered again after roomAgain(). */
  take(packet: PublishPacket): boolean;
  released(messageId: number): void;
  connectionOpened(sessionPresent: boolean): void;
  connectionLost(): void;
  /** Connected, and subscribed to what the settings name: subscribe() and unsubscribe() can be called until connectionLost(). */
  ready?(): void;
  /**
   * The connection is gone. `give-up`: its session may be another's now, and nothing more is done here; the default is to connect again.
   * @param takenOver the broker says that another client has connected under this one's name (MQTT 5, and not every broker)
   */
  whatNext?(takenOver: boolean): "connect-again" | "give-up";
}

/** MQTT 5, DISCONNECT: session taken over. */
const SESSION_TAKEN_OVER = 0x8e;

/** How soon new credentials are noticed. ms. */
export const REFRESH_CHECK_MS = 1_000;

/** A SUBSCRIBE's answer is waited for so many times `connectTimeoutMs` while messages come and are taken: no queue ahead of it is longer. */
const MAX_ANSWER_WAITS = 30;

/** Topics that a broker may give a number instead of sending them each time (MQTT 5). */
const MAX_TOPIC_ALIAS = 1_000;

/** The one private field of MQTT.js that is used: it makes each connection's stream. */
interface Tappable {
  streamBuilder: (client: MqttClient) => Duplex;
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
  /** Said by the broker of the connection that is ending. */
  #takenOver = false;
  /** The session at the broker has our subscription. */
  #subscribed = false;
  /** Connections lost in a row without an acknowledgement sent; sets the back-off. */
  #failures = 0;
  /** Of the present connection. */
  #tap: ConnectionTap | undefined;
  #isHeld = false;
  /** Messages that came. */
  #heard = 0;
  /** As of the last look. */
  #heardBefore = 0;
  #keepaliveTimer: NodeJS.Timeout | undefined;
  #refreshTimer: NodeJS.Timeout | undefined;
  /** While a SUBSCRIBE or UNSUBSCRIBE waits for its answer. */
  #answerTimer: NodeJS.Timeout | undefined;
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
    client.on("error", (error) => {
      this.#logger.warn({ err: error, broker: this.#brokerName() }, "mqtt connection error");
      if (isVersionRefused(error)) client.options.protocolVersion = 4;
      this.#abandon();
    });
    client.on("connect", (packet) => this.#ensureSubscribed(client, packet));
    client.on("reconnect", () => this.reconnects++);
    client.on("disconnect", ({ reasonCode }) => {
      this.#logger.warn({ reasonCode, broker: this.#brokerName() }, "the broker ends the mqtt connection");
      this.#takenOver = reasonCode === SESSION_TAKEN_OVER;
      this.#abandon();
    });
    // Before MQTT.js's own listener, which sets the reconnect timer from the period that is set here.
    client.prependListener("close", () => this.#onClose(client));
    if (this.#settings.refresh !== undefined)
      this.#refreshTimer = setInterval(() => this.#reconnectIfRefreshed(), REFRESH_CHECK_MS).unref();
    client.connect();
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
    if (!this.#isHeld || this.#state !== "running") return;
    this.#isHeld = false;
    this.#tap?.resume();
  }

  /**
   * Beside what the settings name, for this session; one call at a time, this or unsubscribe(). `done` is not called, or with an error, when
   * the connection ends before the answer. A broker that does not answer loses the connection (`no-answer`), and there is another.
   */
  subscribe(topics: readonly string[], done: (error: Error | undefined) => void): void {
    const { qos } = this.#settings;
    this.#expectAnswer("SUBSCRIBE");
    this.#client?.subscribe([...topics], { qos, rh: 2 }, (error) => this.#answered(error, done));
  }

  unsubscribe(topics: readonly string[], done: (error: Error | undefined) => void): void {
    this.#expectAnswer("UNSUBSCRIBE");
    this.#client?.unsubscribe([...topics], (error) => this.#answered(error, done));
  }

  #answered(error: Error | null | undefined, done: (error: Error | undefined) => void): void {
    clearTimeout(this.#answerTimer);
    done(error ?? undefined);
  }

  /** Takes no more messages; the connection stays, for acknowledgements. */
  pause(): void {
    if (this.#state === "running") this.#state = "draining";
  }

  /** DISCONNECT (the session stays at the broker) and close, within `timeoutMs`. */
  async end(timeoutMs: number): Promise<void> {
    const client = this.#client;
    this.#ended();
    // What was held is dropped; packets that MQTT.js waits for may be behind it.
    this.#isHeld = false;
    this.#tap?.resume();
    if (client === undefined) return;
    if (!(await within(client.endAsync(!this.#open), timeoutMs))) client.stream.destroy();
  }

  /** Ends at once and for good, without a word to the broker: the session is another's now. */
  cutOff(): void {
    const client = this.#client;
    this.#client = undefined;
    this.#ended();
    this.#lose();
    client?.end(true);
  }

  #ended(): void {
    this.#state = "ended";
    clearInterval(this.#refreshTimer);
    clearTimeout(this.#answerTimer);
    this.#started?.reject(new BridgeError("stopped", "stopped before the broker was reached"));
    this.#started = undefined;
  }

  #connect(): MqttClient {
    const { url, clientId, protocolVersion, keepaliveS, sessionExpiryS, windowMessages, username, password, tls } = this.#settings;
    const properties = { sessionExpiryInterval: sessionExpiryS, receiveMaximum: windowMessages, topicAliasMaximum: MAX_TOPIC_ALIAS };
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
      timerVariant: "native",
      ...(protocolVersion === 5 ? { properties } : {}),
      manualConnect: true,
    };
    try {
      const client = connect(url, options);
      // It is asked for at connect() only; left on, MQTT.js would connect again after its end.
      client.options.manualConnect = false;
      const tappable = client as unknown as Tappable;
      const build = tappable.streamBuilder;
      tappable.streamBuilder = (self) => this.#tapped(build(self), self.options.protocolVersion ?? protocolVersion);
      return client;
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

  #tapped(stream: Duplex, protocolVersion: number): Duplex {
    this.#tap = new ConnectionTap(
      stream,
      {
        connack: (accepted, sessionPresent) => {
          if (accepted && !this.#open) this.#opened(sessionPresent);
        },
        publish: (packet) => this.#offer(packet),
        pubrel: (messageId) => {
          if (this.#open) this.#handlers.released(messageId);
        },
        held: () => {
          this.#isHeld = true;
        },
        malformed: (error) => this.#logger.error({ err: error, broker: this.#brokerName() }, "ending the mqtt connection"),
      },
      protocolVersion,
      protocolVersion === 5 ? MAX_TOPIC_ALIAS : 0,
    );
    return stream;
  }

  #opened(sessionPresent: boolean): void {
    this.#open = true;
    this.#openedAt = Date.now();
    this.#keepaliveTimer = setInterval(this.#keepAlive, (this.#settings.keepaliveS * 1000) / 3);
    if (!sessionPresent) this.#subscribed = false;
    this.#handlers.connectionOpened(sessionPresent);
  }

  #ensureSubscribed(client: MqttClient, { sessionPresent }: IConnackPacket): void {
    this.#logger.info({ broker: this.#brokerName(), sessionPresent }, "connected to mqtt broker");
    if (this.#state !== "running") return;
    if (this.#subscribed) return this.#handlers.ready?.();
    const { topics, stateTopics, formerTopics, qos } = this.#settings;
    // MQTT 5 only: retained telemetry (rh 1) for a subscription that is new, not each time this process starts; retained states
    // (rh 0) each time, as they say what happened meanwhile.
    const wanted: ISubscriptionMap = {};
    for (const topic of topics) wanted[topic] = { qos, rh: 1 };
    for (const topic of stateTopics) wanted[topic] = { qos, rh: 0 };
    if (topics.length + stateTopics.length === 0) {
      if (formerTopics.length === 0) this.#isSubscribed();
      else this.#unsubscribe(client, formerTopics, () => this.#isSubscribed());
      return;
    }
    this.#expectAnswer("SUBSCRIBE");
    client.subscribe(wanted, (error, granted) => {
      clearTimeout(this.#answerTimer);
      if (error) {
        this.redeliver(new BridgeError("subscribe-refused", `subscribe failed: ${error.message}`, { cause: error }));
        return;
      }
      for (const grant of granted ?? []) {
        if (grant.qos < qos) this.#logger.warn({ topic: grant.topic, asked: qos, granted: grant.qos }, "broker granted a lower QoS");
      }
      this.#isSubscribed();
      if (formerTopics.length > 0) this.#unsubscribe(client, formerTopics);
    });
  }

  #isSubscribed(): void {
    this.#subscribed = true;
    this.#started?.resolve();
    this.#started = undefined;
    this.#handlers.ready?.();
  }

  #unsubscribe(client: MqttClient, topics: readonly string[], done?: () => void): void {
    this.#expectAnswer("UNSUBSCRIBE");
    client.unsubscribe([...topics], (error) => {
      clearTimeout(this.#answerTimer);
      if (!error) done?.();
      else this.#logger.warn({ err: error, topics }, "not unsubscribed: messages may come on more than one session");
    });
  }

  /**
   * MQTT.js waits for ever; without the subscription nothing would come, and start() would not end. The answer comes behind all that the
   * broker has sent before it, so the time counts from the last message, but not for ever: a broker that has forgotten it may go on sending.
   */
  #expectAnswer(to: "SUBSCRIBE" | "UNSUBSCRIBE", waitsLeft = MAX_ANSWER_WAITS): void {
    const { connectTimeoutMs } = this.#settings;
    const heard = this.#heard;
    clearTimeout(this.#answerTimer);
    this.#answerTimer = setTimeout(() => {
      if (this.#isHeld) this.#expectAnswer(to, waitsLeft);
      else if (this.#heard !== heard && waitsLeft > 1) this.#expectAnswer(to, waitsLeft - 1);
      else this.redeliver(new BridgeError("no-answer", `the broker has not answered ${to} within ${connectTimeoutMs} ms`));
    }, connectTimeoutMs);
  }

  /** False: no room, or the ingress is about to stop. */
  #offer(packet: PublishPacket): boolean {
    this.#heard++;
    // Dropped without an acknowledgement: it belongs to a connection that is gone, or to the next start.
    if (!this.#open || this.#state === "ended") return true;
    return this.#state === "running" && this.#handlers.take(packet);
  }

  /**
   * MQTT.js goes by PINGRESP alone, and that comes behind all that the broker has sent before it: not at all while there is no room, and
   * late with a long queue. Mosquitto 2.0.11 sent 50 MB ahead; the connection was given up, and all of it came again.
   */
  readonly #keepAlive = (): void => {
    if (!this.#isHeld && this.#heard === this.#heardBefore) return;
    this.#heardBefore = this.#heard;
    this.#client?.sendPing();
    this.#client?.reschedulePing(true);
  };

  /** Ends the connection without a DISCONNECT. What it had not acknowledged comes again on the next. */
  #abandon(): void {
    this.#lose();
    this.#client?.stream.destroy();
  }

  #lose(): void {
    if (!this.#open) return;
    this.#open = false;
    clearInterval(this.#keepaliveTimer);
    clearTimeout(this.#answerTimer);
    // A connection that held for longer than the longest back-off was a good one.
    if (Date.now() - this.#openedAt > this.#settings.reconnectMaxMs) this.#failures = 0;
    this.#handlers.connectionLost();
    // What is read and not taken goes: the broker sends it again.
    this.#isHeld = false;
    this.#tap?.stop();
  }

  #onClose(client: MqttClient): void {
    this.#lose();
    if (this.#handlers.whatNext?.(this.#takenOver) === "give-up") {
      this.cutOff();
      return;
    }
    this.#takenOver = false;
    this.#failures++;
    client.options.reconnectPeriod = this.#backOffMs();
    Object.assign(client.options, this.#freshCredentials());
  }

  #backOffMs(): number {
    const { reconnectMinMs, reconnectMaxMs } = this.#settings;
    return pauseMs(this.#failures + 1, reconnectMinMs, reconnectMaxMs, Math.random);
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
