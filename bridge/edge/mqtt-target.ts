/**
 * The uplink to an MQTT broker: each message on its own topic with QoS 1 and its retain flag, a window of them at a time. No session is
 * kept there: what is not acknowledged goes again from the store, in order.
 */
import { connect, type IClientOptions, type IClientPublishOptions, type MqttClient } from "mqtt";
import type { IConnackPacket } from "mqtt-packet";
import type { Logger } from "pino";
import { RAW_HEADERS } from "../../processors/formats/names.ts";
import { BridgeError } from "../errors.ts";
import { GATEWAY_PROPERTIES } from "../gateway-time.ts";
import { gapTopic } from "../gateway-access.ts";
import type { MqttSettings } from "../ingress-settings.ts";
import { isVersionRefused } from "../mqtt-intake.ts";
import { headerText, type StoredMessage } from "./message.ts";
import type { Sent, UplinkTarget } from "./uplink.ts";

export interface MqttTargetOptions {
  /** Its topics and session are not used. */
  readonly mqtt: MqttSettings;
  readonly gatewayId: string;
  readonly logger: Logger;
}

/** Without one acknowledgement for so long the connection is taken for dead. ms. */
const ACK_TIMEOUT_MS = 20_000;
const CONNECT_TIMEOUT_MS = 10_000;
const DEFAULT_WINDOW = 500;
/** MQTT 5, 2.4: what trying again does not change. Not authorized, topic name invalid, packet too large, payload format invalid. */
const PERMANENT: ReadonlySet<number> = new Set([0x87, 0x90, 0x95, 0x99]);
/** Beside topic and payload: fixed header, packet id, properties. */
const PACKET_OVERHEAD_BYTES = 256;

export class MqttTarget implements UplinkTarget {
  readonly #options: MqttTargetOptions;
  #client: MqttClient | undefined;
  #protocolVersion: 4 | 5;
  #window = DEFAULT_WINDOW;
  #maxPacketBytes = Infinity;
  #credentialsVersion = 0;
  #closed = false;

  constructor(options: MqttTargetOptions) {
    this.#options = options;
    this.#protocolVersion = options.mqtt.protocolVersion ?? 5;
  }

  async connect(): Promise<void> {
    const { refresh } = this.#options.mqtt;
    if (refresh !== undefined && refresh.version() !== this.#credentialsVersion) this.#drop();
    if (this.#client?.connected === true) return;
    this.#drop();
    try {
      await this.#open();
    } catch (error) {
      if (this.#protocolVersion === 4 || !(error instanceof Error) || !isVersionRefused(error)) throw error;
      this.#protocolVersion = 4;
      await this.#open();
    }
  }

  send(messages: readonly StoredMessage[]): Promise<Sent> {
    const client = this.#client;
    // Lost since connect(): its close was told already, and MQTT.js would keep what is published.
    if (client?.connected !== true) return Promise.resolve({ taken: 0, refused: [], error: new BridgeError("stopped", "not connected") });
    return new Promise((resolve) => {
      /** By index; the run of true at the beginning is what is taken. */
      const answered = new Array<boolean>(messages.length).fill(false);
      const refused: StoredMessage[] = [];
      let taken = 0;
      let next = 0;
      let underWay = 0;
      let timer: NodeJS.Timeout | undefined;
      let isOver = false;
      const finish = (error?: Error): void => {
        if (isOver) return;
        isOver = true;
        clearTimeout(timer);
        client.off("close", onClose);
        if (error !== undefined) this.#drop();
        resolve({ taken, refused: refused.filter((message) => message.offset <= (messages[taken - 1]?.offset ?? -1)), error });
      };
      const onClose = (): void => finish(new BridgeError("stopped", "the connection to the upstream broker was lost"));
      const watch = (): void => {
        clearTimeout(timer);
        timer = setTimeout(() => finish(new BridgeError("stopped", `no acknowledgement within ${ACK_TIMEOUT_MS} ms`)), ACK_TIMEOUT_MS);
      };
      const settle = (index: number): void => {
        answered[index] = true;
        while (taken < messages.length && answered[taken]) taken++;
        if (taken === messages.length) finish();
      };
      const publish = (index: number): void => {
        const message = messages[index];
        const refuse = (): void => {
          refused.push(message);
          settle(index);
        };
        if (message.value.length + message.topic.length + PACKET_OVERHEAD_BYTES > this.#maxPacketBytes) return refuse();
        underWay++;
        client.publish(this.#topicOf(message), message.value, this.#publishOptions(message), (error) => {
          if (isOver) return;
          underWay--;
          watch();
          if (error === undefined || error === null) settle(index);
          else if ("code" in error && PERMANENT.has(Number(error.code))) refuse();
          else return finish(error);
          fill();
        });
      };
      const fill = (): void => {
        while (!isOver && underWay < this.#window && next < messages.length) publish(next++);
      };
      client.once("close", onClose);
      watch();
      fill();
    });
  }

  close(): Promise<void> {
    this.#closed = true;
    this.#drop();
    return Promise.resolve();
  }

  async #open(): Promise<void> {
    const { mqtt, gatewayId, logger } = this.#options;
    const { url, username, password, tls, keepaliveS, refresh } = mqtt;
    this.#credentialsVersion = refresh?.version() ?? 0;
    const options: IClientOptions = {
      clientId: gatewayId,
      clean: true,
      protocolVersion: this.#protocolVersion,
      keepalive: keepaliveS,
      username,
      password,
      ...tls,
      ...refresh?.current(),
      // One connection a client: this class decides when there is another, and what is sent on it.
      reconnectPeriod: 0,
      connectTimeout: CONNECT_TIMEOUT_MS,
      timerVariant: "native",
    };
    const client = connect(url, options);
    this.#client = client;
    const connack = await new Promise<IConnackPacket>((resolve, reject) => {
      client.once("connect", resolve);
      client.once("close", () => reject(new BridgeError("stopped", "the upstream broker cannot be reached")));
      client.on("error", (error) => {
        logger.debug({ err: error }, "upstream mqtt error");
        reject(error);
      });
    });
    this.#window = Math.min(DEFAULT_WINDOW, connack.properties?.receiveMaximum ?? DEFAULT_WINDOW);
    this.#maxPacketBytes = connack.properties?.maximumPacketSize ?? Infinity;
    if (this.#closed) this.#drop();
  }

  #drop(): void {
    const client = this.#client;
    this.#client = undefined;
    client?.end(true);
  }

  #topicOf({ topic, isGap }: StoredMessage): string {
    return isGap ? gapTopic(this.#options.gatewayId) : topic;
  }

  #publishOptions({ headers, receivedTs }: StoredMessage): IClientPublishOptions {
    const retain = headerText(headers, RAW_HEADERS.retain) === "1";
    if (this.#protocolVersion !== 5) return { qos: 1, retain };
    const correlation = headers.find(({ key }) => key === RAW_HEADERS.correlation)?.value;
    return {
      qos: 1,
      retain,
      properties: {
        contentType: headerText(headers, RAW_HEADERS.contentType),
        ...(correlation === undefined || correlation === null ? {} : { correlationData: Buffer.from(correlation) }),
        userProperties: { [GATEWAY_PROPERTIES.id]: this.#options.gatewayId, [GATEWAY_PROPERTIES.receivedTs]: String(receivedTs) },
      },
    };
  }
}
