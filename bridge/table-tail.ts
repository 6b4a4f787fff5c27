/** A compacted topic as a table that is kept up to date: read whole at the start, and followed from there. */
import type { Logger } from "pino";
import type { EventLog, LogReader, PartitionOffset } from "../eventlog/port.ts";
import { giveRows, readTable, type OnRow } from "./read-table.ts";

/** A poll without news ends after this. */
const POLL_WAIT_MS = 1000;
/** After a failed read, before the next. */
const RETRY_MS = 1000;

export class TableTail {
  readonly #log: EventLog;
  readonly #topic: string;
  readonly #onRow: OnRow;
  readonly #logger: Logger;
  readonly #closed = Promise.withResolvers<void>();
  #ends: readonly PartitionOffset[] = [];
  #reader: LogReader | undefined;
  #tailing: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(log: EventLog, topic: string, onRow: OnRow, logger: Logger) {
    this.#log = log;
    this.#topic = topic;
    this.#onRow = onRow;
    this.#logger = logger;
  }

  /** Resolves when everything there is was given to `onRow`. Rejects as the reader does. */
  async read(): Promise<void> {
    this.#ends = await readTable(this.#log, this.#topic, this.#onRow);
  }

  /** After read(): what comes, until close(). `onRead` is called after each poll. */
  follow(onRead: () => void = () => undefined): void {
    this.#reader = this.#log.reader({ isolation: "read_committed" });
    this.#reader.assign(this.#ends);
    this.#tailing = this.#tail(this.#reader, onRead);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#closed.resolve();
    this.#reader?.wakeup();
    await this.#tailing;
    await this.#reader?.close();
  }

  async #tail(reader: LogReader, onRead: () => void): Promise<void> {
    let isFailing = false;
    while (!this.#isClosed) {
      try {
        for (const batch of await reader.poll(POLL_WAIT_MS)) giveRows(batch, this.#onRow);
        onRead();
        if (isFailing) this.#logger.info({ topic: this.#topic }, "a table can be read again");
        isFailing = false;
      } catch (error) {
        // once, however long it lasts
        if (!isFailing) this.#logger.error({ err: error, topic: this.#topic }, "a table cannot be read; what is known stays");
        isFailing = true;
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
