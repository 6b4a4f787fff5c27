import { connect, type IClientOptions, type IPublishPacket, type MqttClient } from "mqtt";
import type { Cleanup } from "./cleanup.ts";

/** A device that notes what it gets and, unless told otherwise, acknowledges it. */
export class TestDevice {
  readonly packets: IPublishPacket[] = [];
  /** How often each command came. */
  readonly seen = new Map<string, number>();
  answers = true;
  /** What it answers beside the id. */
  answer: Record<string, unknown> = {};
  readonly tenant: string;
  readonly deviceId: string;
  #client: MqttClient | undefined;
  readonly #url: string;
  readonly #options: IClientOptions;

  constructor(
    t: Cleanup,
    url: string,
    { tenant = "demo", deviceId = "device-1", ...options }: IClientOptions & { tenant?: string; deviceId?: string } = {},
  ) {
    this.tenant = tenant;
    this.deviceId = deviceId;
    this.#url = url;
    const session = options.protocolVersion === 5 ? { properties: { sessionExpiryInterval: 3600 } } : {};
    this.#options = {
      clientId: `${tenant}-${deviceId}`,
      clean: false,
      reconnectPeriod: 50,
      timerVariant: "native",
      ...session,
      ...options,
    };
    t.after(() => this.disconnect());
  }

  get topic(): string {
    return `t/${this.tenant}/d/${this.deviceId}/cmd`;
  }

  async connect(qos: 0 | 1 | 2 = 2): Promise<this> {
    const client = connect(this.#url, this.#options);
    this.#client = client;
    client.on("error", () => undefined); // it connects again
    // Before the connection is there: what waited in the session comes at once.
    client.on("message", (_topic, payload, packet) => this.#received(client, payload, packet));
    await new Promise((resolve) => client.once("connect", resolve));
    await client.subscribeAsync(this.topic, { qos });
    return this;
  }

  async disconnect(): Promise<void> {
    await this.#client?.endAsync();
    this.#client = undefined;
  }

  publish(topic: string, payload: string, options: Parameters<MqttClient["publishAsync"]>[2] = { qos: 1 }): Promise<unknown> {
    if (this.#client === undefined) throw new Error("the device is not connected");
    return this.#client.publishAsync(topic, payload, options);
  }

  subscribe(filter: string): Promise<unknown> {
    if (this.#client === undefined) throw new Error("the device is not connected");
    return this.#client.subscribeAsync(filter, { qos: 1 });
  }

  #received(client: MqttClient, payload: Buffer, packet: IPublishPacket): void {
    this.packets.push(packet);
    const id = packet.properties?.correlationData?.toString() ?? (JSON.parse(payload.toString()) as { id: string }).id;
    this.seen.set(id, (this.seen.get(id) ?? 0) + 1);
    if (!this.answers) return;
    client.publish(`${this.topic}/ack`, JSON.stringify({ id, ...this.answer }), { qos: 1 });
  }
}
