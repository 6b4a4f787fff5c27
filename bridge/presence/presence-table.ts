/** What presence says of each device, whoever follows it, read from its topic and kept up to date: for those who are asked. */
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import type { EventLog } from "../../eventlog/port.ts";
import { TableTail } from "../table-tail.ts";
import { parsePresence, type PresenceRecord } from "./formats.ts";

/** After the topic could not be read whole, before the next attempt. ms. */
const RETRY_MS = 5_000;
/** Names of followers and reasons that are kept once for all devices; devices may make up reasons. */
const MAX_SHARED_WORDS = 1_000;

export class PresenceTable {
  readonly #topic: string;
  readonly #maxDevices: number;
  readonly #logger: Logger;
  readonly #tail: TableTail;
  readonly #records = new Map<string, PresenceRecord>();
  readonly #words = new Map<string, string>();
  readonly #closing = new AbortController();
  #isRead = false;
  #loading: Promise<void> = Promise.resolve();

  /** @param maxDevices remembered, about 250 bytes each; of others nothing is known. */
  constructor(topic: string, maxDevices: number, log: EventLog, logger: Logger) {
    this.#topic = topic;
    this.#maxDevices = maxDevices;
    this.#logger = logger;
    this.#tail = new TableTail(log, topic, this.#onRow, logger);
  }

  /** In the background, without an end while the topic cannot be read: nobody has to wait for this. */
  start(): void {
    this.#loading = this.#load();
  }

  /** Null: none was ever told of. Undefined: not known yet. */
  of(deviceKey: string): PresenceRecord | null | undefined {
    return this.#isRead ? (this.#records.get(deviceKey) ?? null) : undefined;
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#loading;
    await this.#tail.close();
  }

  async #load(): Promise<void> {
    const { signal } = this.#closing;
    for (let isFailing = false; !signal.aborted; isFailing = true) {
      try {
        await this.#tail.read();
        this.#isRead = true;
        this.#tail.follow();
        return;
      } catch (error) {
        // once, however long it lasts
        if (!isFailing && !signal.aborted)
          this.#logger.error({ err: error, topic: this.#topic }, "presence cannot be read, and is not shown; tried again");
        await delay(RETRY_MS, undefined, { signal }).catch(() => undefined); // closed: nobody waits any more
      }
    }
  }

  readonly #onRow = (key: string, value: Buffer | null): void => {
    const record = value === null ? undefined : parsePresence(value);
    if (record === undefined) this.#records.delete(key);
    else if (this.#records.size < this.#maxDevices || this.#records.has(key)) this.#records.set(key, this.#shared(record));
  };

  #shared(record: PresenceRecord): PresenceRecord {
    const { gateway, ingress } = record;
    return {
      ...record,
      reason: this.#word(record.reason),
      ...(gateway === undefined ? {} : { gateway: this.#word(gateway) }),
      ...(ingress === undefined ? {} : { ingress: this.#word(ingress) }),
    };
  }

  #word(text: string): string {
    const known = this.#words.get(text);
    if (known !== undefined) return known;
    if (this.#words.size < MAX_SHARED_WORDS) this.#words.set(text, text);
    return text;
  }
}
