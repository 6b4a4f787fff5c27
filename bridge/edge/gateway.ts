/** The gateway: devices' port, store and uplink together. */
import type { Logger } from "pino";
import type { Registry } from "prom-client";
import type { TemplateSetting } from "../topic-templates.ts";
import { DevicePort, type DoorKeepers, type TlsSource } from "./device-port.ts";
import { Downlink, type DownlinkOptions, type DownlinkStats } from "./downlink.ts";
import { registerGatewayMetrics } from "./gateway-metrics.ts";
import { MessageRecords } from "./message.ts";
import { Readers } from "./readers.ts";
import type { SessionCounters } from "./session-host.ts";
import type { DevicePortSettings, StoreSettings, UplinkSettings } from "./settings.ts";
import { Store, type StoreStats } from "./store.ts";
import { Uplink, type UplinkStats, type UplinkTarget } from "./uplink.ts";

export interface GatewayOptions {
  /** Goes into `ingress.id` of every record, and is the client id upstream. */
  readonly id: string;
  readonly port: DevicePortSettings;
  readonly keepers: DoorKeepers;
  readonly tls?: TlsSource;
  readonly store: StoreSettings;
  readonly uplink: UplinkSettings;
  /** Closed by the gateway. */
  readonly target: UplinkTarget;
  /** Absent: nothing comes down to devices. */
  readonly downlink?: Pick<DownlinkOptions, "mqtt" | "settings">;
  readonly templates: readonly TemplateSetting[];
  readonly logger: Logger;
  readonly registry: Registry;
}

export interface GatewayStats {
  readonly connections: number;
  readonly devices: SessionCounters;
  readonly store: StoreStats;
  readonly uplink: UplinkStats;
  readonly downlink: DownlinkStats | undefined;
}

interface Parts {
  readonly store: Store;
  readonly devices: DevicePort;
  readonly uplink: Uplink;
  readonly downlink: Downlink | undefined;
  readonly port: number;
}

export class Gateway {
  /** Rejects when the store cannot be read. */
  readonly finished: Promise<void>;
  readonly port: number;
  readonly #store: Store;
  readonly #devices: DevicePort;
  readonly #uplink: Uplink;
  readonly #downlink: Downlink | undefined;
  readonly #logger: Logger;

  private constructor(parts: Parts, { registry, logger }: GatewayOptions) {
    this.#store = parts.store;
    this.#devices = parts.devices;
    this.#uplink = parts.uplink;
    this.#downlink = parts.downlink;
    this.port = parts.port;
    this.#logger = logger;
    registerGatewayMetrics(registry, () => this.stats());
    this.finished = this.#uplink.run();
  }

  /** Resolves when devices can connect, uplink or not. Rejects when the store's folder or the port cannot be had. */
  static async start(options: GatewayOptions): Promise<Gateway> {
    const { id, logger, target } = options;
    const records = new MessageRecords(id, options.templates);
    const downlink = options.downlink && new Downlink({ ...options.downlink, gatewayId: id, logger });
    const readers = downlink && new Readers(downlink);
    downlink?.deliverTo((message, done) => readers?.deliver(message, done) === true);
    const store = await Store.open({ gatewayId: id, settings: options.store, records, logger });
    const down = options.downlink && readers && { settings: options.downlink.settings, readers };
    const devices = new DevicePort(options.port, options.keepers, store, options.tls, down);
    try {
      const port = await devices.listen();
      const uplink = new Uplink(store, target, options.uplink, logger);
      return new Gateway({ store, devices, uplink, downlink, port }, options);
    } catch (error) {
      await store.close();
      throw error;
    }
  }

  stats(): GatewayStats {
    return {
      connections: this.#devices.connections,
      devices: this.#devices.counters,
      store: this.#store.stats(),
      uplink: this.#uplink.stats(),
      downlink: this.#downlink?.stats(),
    };
  }

  /**
   * What comes down first, so that nothing is acknowledged upstream because its device is sent away; then devices, so that nothing more
   * comes in. What is stored stays for the next start.
   */
  async stop(): Promise<void> {
    await this.#downlink?.stop();
    await this.#devices.close();
    await this.#uplink.stop();
    await this.#store.close();
    this.#logger.info(this.stats(), "gateway stopped");
  }
}
