/**
 * The registry of known devices at the ingress: tails the compacted topic and says of each message whether its device may send.
 *
 * | mode            | unknown device                         | denied device |
 * |-----------------|----------------------------------------|---------------|
 * | `open`          | let in                                 | by `denied`   |
 * | `auto-register` | let in, and written into the registry  | by `denied`   |
 * | `closed`        | by `unknown`                           | by `denied`   |
 */
import type { Logger } from "pino";
import type { EventLog } from "../../eventlog/port.ts";
import type { DeviceGate } from "../admission/gate.ts";
import { BridgeError } from "../errors.ts";
import type { Route } from "../route-cache.ts";
import { TableTail } from "../table-tail.ts";
import { TableWriter } from "../table-writer.ts";
import { KnownDevices } from "./known-devices.ts";
import { parseRegistryEntry, type RegistryEntry } from "./registry-entry.ts";

export interface RegistrySettings {
  readonly mode: "open" | "auto-register" | "closed";
  readonly topic: string;
  readonly unknown: "shed" | "drop";
  readonly denied: "shed" | "drop";
  /** Devices known at once; see KnownDevices. */
  readonly maxDevices: number;
}

/** Registrations not yet durable; with more, a device is registered at a later message. */
const MAX_REGISTERING = 10_000;

export class DeviceRegistry implements DeviceGate {
  reason: "unknown-device" | "denied-device" = "unknown-device";
  readonly known: KnownDevices;
  readonly #settings: RegistrySettings;
  readonly #log: EventLog;
  readonly #logger: Logger;
  #writer: TableWriter | undefined;
  #registering = 0;
  readonly #tail: TableTail;
  #toldOverflow = 0;
  #isClosed = false;

  constructor(settings: RegistrySettings, log: EventLog, logger: Logger) {
    this.#settings = settings;
    this.#log = log;
    this.#logger = logger;
    this.known = new KnownDevices(settings.maxDevices);
    this.#tail = new TableTail(log, settings.topic, this.#onRow, logger);
  }

  /** Resolves when the whole table is read. Rejects with `registry-full` when it has more than `maxDevices`, or as the reader does. */
  async start(): Promise<void> {
    const { topic, maxDevices } = this.#settings;
    this.#writer = await TableWriter.open(this.#log, topic);
    await this.#tail.read();
    if (this.known.overflow > 0)
      throw new BridgeError("registry-full", `${topic} has more devices than registry.maxDevices, ${maxDevices}: raise it`);
    this.#tail.follow(() => this.#tellOverflow());
  }

  verdict({ deviceKey }: Route): "pass" | "shed" | "drop" {
    const { mode, unknown, denied } = this.#settings;
    const status = this.known.statusOf(deviceKey);
    if (status === "allowed") return "pass";
    if (status === "denied") {
      this.reason = "denied-device";
      return denied;
    }
    if (mode === "open") return "pass";
    if (mode === "auto-register" && !this.known.isFull) {
      this.#register(deviceKey);
      return "pass";
    }
    this.reason = "unknown-device";
    return unknown;
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#tail.close();
    await this.#writer?.close();
  }

  readonly #onRow = (key: string, value: Buffer | null): void => {
    const entry = value === null ? undefined : parseRegistryEntry(value);
    if (value !== null && entry === undefined) {
      this.#logger.warn({ key, topic: this.#settings.topic }, "a registry entry that cannot be read is left out");
      return;
    }
    // An ingress that knew nothing of the denial yet registered the device: the denial is written again, or compaction removes it.
    if (entry?.source === "auto" && this.known.statusOf(key) === "denied") this.#write(key, { v: 1, status: "denied", source: "kept" });
    // `open` asks for the denied ones only.
    else this.known.set(key, this.#settings.mode === "open" && entry?.status === "allowed" ? undefined : entry?.status);
  };

  #register(key: string): void {
    if (this.#registering >= MAX_REGISTERING) return;
    this.#registering++;
    this.known.set(key, "allowed");
    this.#write(key, { v: 1, status: "allowed", source: "auto", ts: Date.now() }, (error) => {
      this.#registering--;
      // At its next message it is tried again.
      if (error !== undefined && this.known.statusOf(key) === "allowed") this.known.set(key, undefined);
    });
  }

  #write(key: string, entry: RegistryEntry, done: (error: Error | undefined) => void = () => undefined): void {
    this.#writer?.write(key, Buffer.from(JSON.stringify(entry)), (error) => {
      if (error !== undefined) this.#logger.error({ err: error, key }, "the registry did not take an entry");
      done(error);
    });
  }

  #tellOverflow(): void {
    const { overflow } = this.known;
    if (overflow > this.#toldOverflow) this.#logger.error({ overflow }, "more devices than registry.maxDevices: some are unknown here");
    this.#toldOverflow = overflow;
  }
}
