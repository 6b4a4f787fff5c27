/**
 * Which devices presence says are offline, read from its topic: whichever ingress heard of it. For those who send to devices.
 * `stale` is not offline: a device that says nothing may well listen.
 */
import type { Logger } from "pino";
import type { EventLog } from "../../eventlog/port.ts";
import { TableTail } from "../table-tail.ts";
import { parsePresence } from "./formats.ts";

export class OfflineDevices {
  readonly #maxDevices: number;
  readonly #tail: TableTail;
  readonly #offline = new Set<string>();
  readonly #listeners: ((deviceKey: string) => void)[] = [];

  /** @param maxDevices remembered, about 100 bytes each; others are taken for being there. */
  constructor(topic: string, maxDevices: number, log: EventLog, logger: Logger) {
    this.#maxDevices = maxDevices;
    this.#tail = new TableTail(log, topic, this.#onRow, logger);
  }

  /** Resolves when what was written before is known. Rejects as the reader does. */
  async start(): Promise<void> {
    await this.#tail.read();
    this.#tail.follow();
  }

  /** @param deviceKey `tenant|deviceId` */
  isOffline(deviceKey: string): boolean {
    return this.#offline.has(deviceKey);
  }

  /** Told of each device that was offline and is not any more. */
  onBack(listener: (deviceKey: string) => void): void {
    this.#listeners.push(listener);
  }

  close(): Promise<void> {
    return this.#tail.close();
  }

  readonly #onRow = (key: string, value: Buffer | null): void => {
    const isOffline = value !== null && parsePresence(value)?.status === "offline";
    if (isOffline && this.#offline.size < this.#maxDevices) this.#offline.add(key);
    else if (!isOffline && this.#offline.delete(key)) for (const listener of this.#listeners) listener(key);
  };
}
