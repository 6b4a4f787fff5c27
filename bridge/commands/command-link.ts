/**
 * The connection that commands are published over. Each connection is an MQTT.js client of its own: a client that reconnects sends
 * its unacknowledged messages again by itself, which an at-most-once command must never be. What is in the air when a connection
 * ends is `unknown`, and the book decides.
 */
import { connect, type IClientOptions, type MqttClient } from "mqtt";
import type { IConnackPacket, Packet } from "mqtt-packet";
import type { Logger } from "pino";
import { pauseMs } from "../../eventlog/back-off.ts";
import { FIRST_FAILURE } from "../reason-codes.ts";
import { within } from "../within.ts";
import type { ResolvedMqttSettings } from "../ingress-settings.ts";
import { isVersionRefused, REFRESH_CHECK_MS } from "../mqtt-intake.ts";
import type { CommandMessage } from "./command-message.ts";
import type { PublishOutcome } from "./open-command.ts";

/** Publications that the broker has not answered, at the most; fewer when the broker allows fewer (Receive Maximum). */
const MAX_IN_AIR = 500;
const NO_MATCHING_SUBSCRIBERS = 0x10;
/** With new credentials: how long what is in the air may take to be answered before the connection ends. ms. */
const RENEW_TIMEOUT_MS = 5_000;

type Done = (outcome: PublishOutcome) => void;

export class CommandLink {
  readonly #settings: ResolvedMqttSettings;
  readonly #logger: Logger;
  readonly #onChange: () => void;
  #client: MqttClient | undefined;
  #open = false;
  #stopped = false;
  /** The connection ends when what is in the air is answered. */
  #renewing = false;
  #refreshTimer: NodeJS.Timeout | undefined;
  /** Of the credentials that the connection, or the attempt at one, has. */
  #credentialsVersion = 0;
  #failures = 0;
  #timer: NodeJS.Timeout | undefined;
  #protocolVersion: 4 | 5;
  #maxInAir = MAX_IN_AIR;
  /** By packet id. */
  readonly #answers = new Map<number, Done>();
  /** QoS 2 between PUBREC and PUBCOMP: answered, but they count against the broker's Receive Maximum. */
  readonly #releasing = new Set<number>();
  /** QoS 0, waiting for the socket to take them. */
  readonly #writes = new Set<Done>();
  reconnects = 0;

  /** @param onChange there may be room again, or none any more. */
  constructor(settings: ResolvedMqttSettings, logger: Logger, onChange: () => void) {
    this.#settings = settings;
    this.#logger = logger;
    this.#onChange = onChange;
    this.#protocolVersion = settings.protocolVersion;
  }

  get connected(): boolean {
    return this.#open;
  }

  get inAir(): number {
    return this.#answers.size + this.#releasing.size + this.#writes.size;
  }

  /** How many may be published now. */
  get room(): number {
    return this.#open && !this.#renewing ? Math.max(0, this.#maxInAir - this.inAir) : 0;
  }

  /** Connects, and again whenever the connection is lost, until stop(). Throws on a URL that is none. */
  start(): void {
    const { url, clientId, keepaliveS, username, password, tls, refresh, connectTimeoutMs } = this.#settings;
    this.#credentialsVersion = refresh?.version() ?? 0;
    const options: IClientOptions = {
      clientId,
      protocolVersion: this.#protocolVersion,
      clean: true,
      keepalive: keepaliveS,
      username,
      password,
      ...tls,
      ...refresh?.current(),
      reconnectPeriod: 0,
      // Else MQTT.js leaves a refused connection to the broker to close.
      reconnectOnConnackError: true,
      connectTimeout: connectTimeoutMs,
      queueQoSZero: false,
      timerVariant: "native",
    };
    const client = connect(url, options);
    this.#client = client;
    client.on("connect", (packet) => this.#opened(packet));
    client.on("packetreceive", (packet) => this.#answered(packet));
    client.on("error", (error) => {
      this.#logger.warn({ err: error }, "mqtt connection error (commands)");
      if (isVersionRefused(error)) this.#protocolVersion = 4;
    });
    client.once("close", () => this.#closed(client));
    if (refresh !== undefined) this.#refreshTimer ??= setInterval(() => this.#renewIfRefreshed(), REFRESH_CHECK_MS).unref();
  }

  /** `done` is called once, never before publish() returns. */
  publish(message: CommandMessage, done: Done): void {
    const client = this.#client;
    if (client === undefined || !this.#open || this.#renewing || !client.stream.writable) {
      process.nextTick(done, { kind: "not-written" });
      return;
    }
    const { topic, payload, options } = message;
    if (options.qos === 0) {
      this.#writes.add(done);
      client.publish(topic, payload, options, (error) => {
        if (this.#writes.delete(done)) done({ kind: error ? "unknown" : "written" });
      });
      return;
    }
    // Its callback does not tell that nobody was subscribed; the packets do.
    client.publish(topic, payload, options, () => undefined);
    this.#answers.set(client.getLastMessageId(), done);
  }

  /** Waits up to `timeoutMs` for what is in the air; the rest becomes `unknown`. */
  async stop(timeoutMs: number): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    clearInterval(this.#refreshTimer);
    const client = this.#client;
    if (client === undefined) return;
    await within(client.endAsync(!this.#open), timeoutMs);
    client.stream.destroy();
    this.#lose();
  }

  #opened({ properties, sessionPresent: _ }: IConnackPacket): void {
    this.#open = true;
    this.#failures = 0;
    this.#maxInAir = Math.min(MAX_IN_AIR, properties?.receiveMaximum ?? MAX_IN_AIR);
    this.#logger.info("connected to mqtt broker (commands)");
    this.#onChange();
  }

  #answered(packet: Packet): void {
    if (packet.cmd === "pubcomp" && this.#releasing.delete(packet.messageId ?? 0)) this.#onChange();
    if (packet.cmd !== "puback" && packet.cmd !== "pubrec") return;
    const done = this.#answers.get(packet.messageId ?? 0);
    if (done === undefined) return;
    this.#answers.delete(packet.messageId ?? 0);
    const code = packet.reasonCode ?? 0;
    if (code >= FIRST_FAILURE) done({ kind: "refused", message: `the broker's reason code is 0x${code.toString(16)}` });
    else {
      if (packet.cmd === "pubrec") this.#releasing.add(packet.messageId ?? 0);
      done({ kind: code === NO_MATCHING_SUBSCRIBERS ? "no-subscriber" : "confirmed" });
    }
  }

  /** Takes no more, and ends the connection when all is answered: what were cut off would be `unknown`, which fails at-most-once commands. */
  #renewIfRefreshed(): void {
    const client = this.#client;
    if (client === undefined || !this.#open || this.#renewing || this.#settings.refresh?.version() === this.#credentialsVersion) return;
    this.#renewing = true;
    this.#logger.info("new mqtt credentials: connecting again (commands)");
    const cut = (): unknown => client.stream.destroy();
    within(client.endAsync(), RENEW_TIMEOUT_MS).then((ended) => ended || cut(), cut);
  }

  #closed(client: MqttClient): void {
    this.#renewing = false;
    this.#lose();
    // Its answers are all given; it must not keep a timer or a message.
    client.end(true);
    if (this.#stopped) return;
    this.reconnects++;
    this.#timer = setTimeout(() => this.start(), this.#backOffMs());
  }

  #lose(): void {
    this.#open = false;
    const pending = [...this.#answers.values(), ...this.#writes];
    this.#answers.clear();
    this.#releasing.clear();
    this.#writes.clear();
    for (const done of pending) done({ kind: "unknown" });
    this.#onChange();
  }

  #backOffMs(): number {
    const { reconnectMinMs, reconnectMaxMs } = this.#settings;
    return pauseMs(++this.#failures, reconnectMinMs, reconnectMaxMs, Math.random);
  }
}
