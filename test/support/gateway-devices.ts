/** Devices that publish to a gateway, and keep what it does not acknowledge: what a field has. */
import { connect, type MqttClient } from "mqtt";
import type { Cleanup } from "./cleanup.ts";

/** Unacknowledged messages of one device; it sends the next when one of them is acknowledged. */
const WINDOW = 20;

export class GatewayDevices {
  /** `device/seq` of what was acknowledged. */
  readonly acknowledged = new Set<string>();
  readonly #devices: Device[];
  #running = true;

  /** @param count each with a connection of its own, MQTT 3.1.1: it sends again what was not acknowledged, after a reconnect */
  constructor(t: Cleanup, url: string, count: number) {
    this.#devices = Array.from({ length: count }, (_, n) => new Device(t, url, `d${n}`, this.acknowledged, () => this.#running));
  }

  /** Publishes no more; what is under way goes on. */
  stop(): void {
    this.#running = false;
  }

  get underWay(): number {
    return this.#devices.reduce((sum, device) => sum + device.underWay, 0);
  }
}

class Device {
  underWay = 0;
  readonly #client: MqttClient;
  readonly #id: string;
  readonly #acknowledged: Set<string>;
  readonly #mayPublish: () => boolean;
  #seq = 0;

  constructor(t: Cleanup, url: string, id: string, acknowledged: Set<string>, mayPublish: () => boolean) {
    this.#id = id;
    this.#acknowledged = acknowledged;
    this.#mayPublish = mayPublish;
    this.#client = connect(url, { clientId: id, clean: false, reconnectPeriod: 100, timerVariant: "native" });
    this.#client.on("error", () => undefined); // the gateway is killed: reconnecting is what this is for
    t.after(() => this.#client.endAsync(true));
    const timer = setInterval(() => this.#fill(), 5);
    t.after(() => clearInterval(timer));
  }

  #fill(): void {
    if (!this.#client.connected) return;
    for (let sent = 0; sent < 4 && this.underWay < WINDOW && this.#mayPublish(); sent++) {
      const seq = this.#seq++;
      this.underWay++;
      const payload = JSON.stringify({ deviceId: this.#id, bootId: "b", seq, tempC: seq });
      this.#client.publish(`t/demo/d/${this.#id}/telemetry`, payload, { qos: 1 }, (error) => {
        this.underWay--;
        if (!error) this.#acknowledged.add(`${this.#id}/${seq}`);
      });
    }
  }
}

/** What is wrong with messages `device/seq` in the order they arrived: lost ones, and first arrivals that overtook others of their device. */
export function faultsOf(
  arrived: readonly string[],
  acknowledged: ReadonlySet<string>,
): { lost: string[]; overtaken: string[]; doubled: number } {
  const seen = new Set<string>();
  const newest = new Map<string, number>();
  const overtaken: string[] = [];
  for (const one of arrived) {
    if (seen.has(one)) continue;
    seen.add(one);
    const [device, seq] = one.split("/");
    if (Number(seq) < (newest.get(device) ?? -1)) overtaken.push(one);
    newest.set(device, Math.max(newest.get(device) ?? -1, Number(seq)));
  }
  return { lost: [...acknowledged].filter((one) => !seen.has(one)), overtaken, doubled: arrived.length - seen.size };
}
