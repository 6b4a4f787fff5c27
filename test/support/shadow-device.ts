import { randomUUID } from "node:crypto";
import { connect, type MqttClient } from "mqtt";
import { mergePatch, type JsonObject } from "../../processors/formats/merge-patch.ts";
import type { Cleanup } from "./cleanup.ts";

export interface DeltaMessage {
  readonly v: 1;
  readonly version: number;
  readonly delta: JsonObject;
  readonly desired?: JsonObject;
  readonly reported?: JsonObject;
}

/** A device without a session that does what its shadow says and reports it; its state on `.../state` is retained, with a Last Will. */
export class ShadowDevice {
  readonly messages: DeltaMessage[] = [];
  state: JsonObject = {};
  /** False: it hears, and does nothing. */
  obeys = true;
  readonly #url: string;
  readonly #base: string;
  readonly #protocolVersion: 4 | 5;
  #client: MqttClient | undefined;
  /** Of this life: an id that was used before a restart would be known. */
  readonly #boot = randomUUID();
  #reports = 0;

  constructor(t: Cleanup, url: string, deviceId: string, protocolVersion: 4 | 5 = 5) {
    this.#url = url;
    this.#base = `t/demo/d/${deviceId}`;
    this.#protocolVersion = protocolVersion;
    t.after(() => this.disconnect());
  }

  get versions(): number[] {
    return this.messages.map(({ version }) => version);
  }

  async connect(): Promise<this> {
    const state = { topic: `${this.#base}/state`, qos: 1, retain: true } as const;
    const client = connect(this.#url, {
      clientId: this.#base.replaceAll("/", "-"),
      protocolVersion: this.#protocolVersion,
      clean: true,
      reconnectPeriod: 0,
      timerVariant: "native",
      will: { ...state, payload: Buffer.from("offline") },
    });
    this.#client = client;
    client.on("error", () => undefined); // it is gone, as it would be
    client.on("message", (_topic, payload) => this.#received(JSON.parse(payload.toString()) as DeltaMessage));
    await new Promise((resolve) => client.once("connect", resolve));
    await client.subscribeAsync(`${this.#base}/shadow/delta`, { qos: 1 });
    await client.publishAsync(state.topic, "online", state);
    return this;
  }

  /** Without a word: its Last Will speaks. */
  async vanish(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    if (client === undefined) return;
    const closed = new Promise<void>((resolve) => client.once("close", () => resolve()));
    client.stream.destroy();
    await closed;
  }

  async disconnect(): Promise<void> {
    await this.#client?.endAsync();
    this.#client = undefined;
  }

  async ask(): Promise<void> {
    await this.#publish("shadow/get", "");
  }

  async report(state: JsonObject): Promise<void> {
    this.state = mergePatch(this.state, state);
    await this.#publish("shadow/reported", JSON.stringify({ id: `${this.#boot}:${++this.#reports}`, state }));
  }

  async #publish(door: string, payload: string): Promise<void> {
    if (this.#client === undefined) throw new Error("the device is not connected");
    await this.#client.publishAsync(`${this.#base}/${door}`, payload, { qos: 1 });
  }

  #received(message: DeltaMessage): void {
    this.messages.push(message);
    if (this.obeys && Object.keys(message.delta).length > 0) this.report(message.delta).catch(() => undefined); // gone meanwhile
  }
}
