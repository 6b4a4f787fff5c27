/**
 * Which devices presence says are offline, read from its topic: whichever ingress heard of it. For those who send to devices.
 * `stale` is not offline: a device that says nothing may well listen.
 */
import type { Logger } from "pino";
import type { EventLog, LogReader } from "../../eventlog/port.ts";
import { giveRows, readTable } from "../read-table.ts";
import { parsePresence } from "./formats.ts";

/** A poll without news ends after this. */
const POLL_WAIT_MS = 1_000;
/** After a failed read, before the next. */
const RETRY_MS = 1_000;

export class OfflineDevices {
  readonly #topic: string;
  readonly #maxDevices: number;
  readonly #log: EventLog;
  readonly #logger: Logger;
  readonly #offline = new Set<string>();
  readonly #listeners: ((deviceKey: string) => void)[] = [];
  #reader: LogReader | undefined;
  #tailing: Promise<void> = Promise.resolve();
  readonly #closed = Promise.withResolvers<void>();
  #isClosed = false;

  /** @param maxDevices remembered, about 100 bytes each; others are taken for being there. */
  constructor(topic: string, maxDevices: number, log: EventLog, logger: Logger) {
    this.#topic = topic;
    this.#maxDevices = maxDevices;
    this.#log = log;
    this.#logger = logger;
  }

  /** Resolves when what was written before is known. Rejects as the reader does. */
  async start(): Promise<void> {
    const ends = await readTable(this.#log, this.#topic, this.#onRow);
    this.#reader = this.#log.reader({ isolation: "read_committed" });
    this.#reader.assign(ends);
    this.#tailing = this.#tail(this.#reader);
  }

  /** @param deviceKey `tenant|deviceId` */
  isOffline(deviceKey: string): boolean {
    return this.#offline.has(deviceKey);
  }

  /** Told of each device that was offline and is not any more. */
  onBack(listener: (deviceKey: string) => void): void {
    this.#listeners.push(listener);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#closed.resolve();
    this.#reader?.wakeup();
    await this.#tailing;
    await this.#reader?.close();
  }

  readonly #onRow = (key: string, value: Buffer | null): void => {
    const isOffline = value !== null && parsePresence(value)?.status === "offline";
    if (isOffline && this.#offline.size < this.#maxDevices) this.#offline.add(key);
    else if (!isOffline && this.#offline.delete(key)) for (const listener of this.#listeners) listener(key);
  };

  async #tail(reader: LogReader): Promise<void> {
    while (!this.#isClosed) {
      try {
        for (const batch of await reader.poll(POLL_WAIT_MS)) giveRows(batch, this.#onRow);
      } catch (error) {
        this.#logger.error({ err: error }, "presence cannot be read; what is known stays");
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
