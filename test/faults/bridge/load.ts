/** Messages (device, seq) of a number of devices, published at a rate until the broker has acknowledged each. */
import { waitFor } from "../../support/wait-for.ts";
import { DeviceLink } from "./device-link.ts";

export interface LoadPlan {
  /** Begins the names of its devices, so that its messages are known by it wherever they turn up. */
  readonly name: string;
  readonly tenant: string;
  readonly qos: 1 | 2;
  readonly devices: number;
  readonly perDevice: number;
  /** Connections; device i is on the (i mod links)th. Default: one for each device, at most 20. */
  readonly links?: number;
  /** Messages a second, of all devices. */
  readonly rate: number;
}

const TICK_MS = 10;
/** Of all connections: what Mosquitto has to answer at once. */
const WINDOW_MESSAGES = 4_000;
const RECONNECT_MS = 50;
/** A storm comes back within a second, not in one instant. */
const STORM_RECONNECT_MS = 500;
const STORM_LINKS = 100;
/** Longest time without one acknowledgement: longer than any fault. */
const STUCK_MS = 120_000;

export class Load {
  readonly plan: LoadPlan;
  readonly #links: DeviceLink[] = [];
  readonly #timer: NodeJS.Timeout;
  readonly #startedAt = performance.now();
  #settled = 0;
  #settledAt = performance.now();

  constructor(plan: LoadPlan, port: number) {
    this.plan = plan;
    const { name, qos, devices, links = Math.min(20, devices) } = plan;
    for (let link = 0; link < links; link++) {
      this.#links.push(
        new DeviceLink({
          port,
          clientId: `device-${name}-${link}`,
          qos,
          window: Math.max(1, Math.floor(WINDOW_MESSAGES / links)),
          reconnectMs: links >= STORM_LINKS ? STORM_RECONNECT_MS : RECONNECT_MS,
          next: this.#messagesOf(link, Math.floor((devices - link - 1) / links) + 1, links),
          settled: () => {
            this.#settled++;
            this.#settledAt = performance.now();
          },
        }),
      );
    }
    this.#timer = setInterval(() => {
      for (const link of this.#links) link.pump();
    }, TICK_MS);
  }

  get messages(): number {
    return this.plan.devices * this.plan.perDevice;
  }

  /** Acknowledged by the broker. */
  get settled(): number {
    return this.#settled;
  }

  get connected(): number {
    return this.#links.filter((link) => link.connected).length;
  }

  /** Resolves when this share of the messages is acknowledged. */
  async reached(share: number): Promise<void> {
    const wanted = Math.ceil(share * this.messages);
    while (this.#settled < wanted) {
      await waitFor(`${wanted} messages of ${this.plan.name} acknowledged`, () => this.#settled >= wanted || this.#isStuck(), {
        deadlineMs: 2 ** 30,
        intervalMs: 3,
      });
      if (this.#settled < wanted && this.#isStuck())
        throw new Error(`${this.plan.name}: ${this.#settled} of ${this.messages} acknowledged, and no more for ${STUCK_MS} ms`);
    }
  }

  /** Every device loses its connection and comes back. */
  reconnectAll(): void {
    for (const link of this.#links) link.reset();
  }

  close(): void {
    clearInterval(this.#timer);
    for (const link of this.#links) link.close();
  }

  #isStuck(): boolean {
    return performance.now() - this.#settledAt > STUCK_MS;
  }

  /** Of one connection, its devices in turn. */
  #messagesOf(link: number, devices: number, links: number): () => { topic: string; payload: string } | undefined {
    const { name, tenant, perDevice, rate } = this.plan;
    const total = devices * perDevice;
    let made = 0;
    return () => {
      const due = ((performance.now() - this.#startedAt) / 1000) * rate * (total / this.messages);
      if (made >= Math.min(total, due)) return undefined;
      const device = (made % devices) * links + link;
      const seq = Math.floor(made / devices);
      made++;
      const deviceId = `${name}-${device}`;
      return {
        topic: `t/${tenant}/d/${deviceId}/telemetry`,
        payload: `{"deviceId":"${deviceId}","bootId":"b1","seq":${seq},"tempC":${20 + (seq % 100) / 10},"rpm":${1_000 + (seq % 500)},"sentMs":${Date.now()}}`,
      };
    };
  }
}
