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
import type { EventLog, LogReader } from "../../eventlog/port.ts";
import type { DeviceGate } from "../admission/gate.ts";
import { BridgeError } from "../errors.ts";
import { giveRows, readTable } from "../read-table.ts";
import type { Route } from "../route-cache.ts";
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
/** A poll without news ends after this. */
const POLL_WAIT_MS = 1000;
/** After a failed read, before the next. */
const RETRY_MS = 1000;

export class DeviceRegistry implements DeviceGate {
  reason: "unknown-device" | "denied-device" = "unknown-device";
  readonly known: KnownDevices;
  readonly #settings: RegistrySettings;
  readonly #log: EventLog;
  readonly #logger: Logger;
  #writer: TableWriter | undefined;
  #registering = 0;
  #reader: LogReader | undefined;
  #tailing: Promise<void> = Promise.resolve();
  readonly #closed = Promise.withResolvers<void>();
  #isClosed = false;

  constructor(settings: RegistrySettings, log: EventLog, logger: Logger) {
    this.#settings = settings;
    this.#log = log;
    this.#logger = logger;
    this.known = new KnownDevices(settings.maxDevices);
  }

  /** Resolves when the whole table is read. Rejects with `registry-full` when it has more than `maxDevices`, or as the reader does. */
  async start(): Promise<void> {
    const { topic, maxDevices } = this.#settings;
    this.#writer = await TableWriter.open(this.#log, topic);
    const ends = await readTable(this.#log, topic, this.#onRow);
    if (this.known.overflow > 0)
      throw new BridgeError("registry-full", `${topic} has more devices than registry.maxDevices, ${maxDevices}: raise it`);
    this.#reader = this.#log.reader({ isolation: "read_committed" });
    this.#reader.assign(ends);
    this.#tailing = this.#tail(this.#reader);
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
    this.#closed.resolve();
    this.#reader?.wakeup();
    await this.#tailing;
    await this.#reader?.close();
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

  async #tail(reader: LogReader): Promise<void> {
    let overflow = 0;
    while (!this.#isClosed) {
      try {
        for (const batch of await reader.poll(POLL_WAIT_MS)) giveRows(batch, this.#onRow);
        if (this.known.overflow > overflow)
          this.#logger.error({ overflow: this.known.overflow }, "more devices than registry.maxDevices: some are unknown here");
        overflow = this.known.overflow;
      } catch (error) {
        this.#logger.error({ err: error }, "the registry cannot be read; what is known stays");
        await this.#pause();
      }
    }
  }

  async #pause(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    await Promise.race([this.#closed.promise, new Promise((resolve) => (timer = setTimeout(resolve, RETRY_MS)))]);
    clearTimeout(timer);
  }
}
