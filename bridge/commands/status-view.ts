/**
 * What became of commands, for whoever asks: the newest statuses, kept in memory by following the topics. A command that is in the
 * log and that no service has taken yet is `queued`.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import { LogError } from "../../eventlog/errors.ts";
import type { EventLog, FetchedBatch, LogReader, PartitionOffset } from "../../eventlog/port.ts";
import { partitionForKey } from "../../eventlog/records/murmur2.ts";
import { commandKey, type CommandStatus, type KnownCommand } from "../../processors/formats/commands.ts";
import { deviceKey } from "../../processors/formats/names.ts";
import { parseCommand } from "./parse-command.ts";
import { parseStatus } from "./statuses.ts";

export interface StatusViewOptions {
  readonly log: EventLog;
  readonly topics: { readonly commands: string; readonly status: string };
  /** Only these; default: all. */
  readonly partitions?: readonly number[];
  readonly logger: Logger;
}

/** Commands remembered, the newest: about 700 bytes each. */
const MAX_COMMANDS = 20_000;
/** An answer waits so long for the view to have read what was in the log when it was asked. */
const CATCH_UP_MS = 3_000;
const POLL_MS = 1_000;
const RETRY_MS = 1_000;

export class StatusView {
  readonly #options: StatusViewOptions;
  readonly #reader: LogReader;
  readonly #known = new Map<string, KnownCommand>();
  readonly #positions = new Map<string, number>();
  #moved = Promise.withResolvers<void>();
  #running: Promise<void> | undefined;
  #stopped = false;
  #failure: Error | undefined;
  #partitionCount = 0;

  constructor(options: StatusViewOptions) {
    this.#options = options;
    this.#reader = options.log.reader({ isolation: "read_committed" });
  }

  /** Rejects with LogErrors. Reading goes on in the background. */
  async start(): Promise<void> {
    const { log, topics } = this.#options;
    this.#partitionCount = await log.partitionCount(topics.commands);
    const partitions = this.#options.partitions ?? Array.from({ length: this.#partitionCount }, (_, partition) => partition);
    const all = [topics.commands, topics.status].flatMap((topic) => partitions.map((partition) => ({ topic, partition })));
    const starts = await log.admin.listOffsets(all, "earliest", "read_committed");
    for (const start of starts) this.#positions.set(nameOf(start), start.offset);
    this.#reader.assign(starts);
    this.#running = this.#follow();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#reader.wakeup();
    await this.#running;
    await this.#reader.close();
  }

  /**
   * As of now: everything that is in the log when it is asked is in the answer. Undefined for a command that there never was, or of
   * which nothing is remembered. Rejects with `timed-out` (retriable) when the view does not catch up in time.
   */
  async status(tenant: string, deviceId: string, id: string): Promise<KnownCommand | undefined> {
    const key = Buffer.from(deviceKey(tenant, deviceId));
    await this.#catchUp(partitionForKey(key, 0, key.length, this.#partitionCount));
    return this.#known.get(commandKey({ tenant, deviceId, id }));
  }

  /** As status(): the `limit` commands of a device that something became of last, newest first. */
  async newest(tenant: string, deviceId: string, limit: number): Promise<readonly KnownCommand[]> {
    const text = deviceKey(tenant, deviceId);
    const key = Buffer.from(text);
    await this.#catchUp(partitionForKey(key, 0, key.length, this.#partitionCount));
    const own = [...this.#known].filter(([known]) => known.startsWith(`${text}|`)).map(([, command]) => command);
    return own.slice(-limit).reverse();
  }

  async #catchUp(partition: number): Promise<void> {
    const { log, topics } = this.#options;
    const both = [topics.commands, topics.status].map((topic) => ({ topic, partition }));
    const ends = await log.admin.listOffsets(both, "latest", "read_committed");
    const deadline = performance.now() + CATCH_UP_MS;
    while (ends.some((end) => (this.#positions.get(nameOf(end)) ?? 0) < end.offset)) {
      if (this.#failure !== undefined) throw this.#failure;
      const left = deadline - performance.now();
      if (left <= 0) throw new LogError("timed-out", `the statuses of commands could not be read within ${CATCH_UP_MS} ms`);
      const ending = new AbortController();
      const timeout = delay(left, undefined, { signal: ending.signal }).catch(() => undefined); // ended: something moved
      await Promise.race([this.#moved.promise, timeout]);
      ending.abort();
    }
  }

  async #follow(): Promise<void> {
    while (!this.#stopped) {
      try {
        for (const batch of await this.#reader.poll(POLL_MS)) this.#read(batch);
      } catch (cause) {
        const error = cause instanceof Error ? cause : new Error(String(cause));
        if (!(error instanceof LogError) || (error.action === "fatal" && error.code !== "offset-out-of-range")) {
          this.#failure = error;
          this.#options.logger.error({ err: error }, "the statuses of commands cannot be read any more");
          this.#wake();
          return;
        }
        this.#options.logger.warn({ err: error }, "the statuses of commands could not be read; trying again");
        await delay(RETRY_MS);
        if (error.code === "offset-out-of-range") await this.#skipAhead(error);
      }
      this.#wake();
    }
  }

  /** Retention was faster than we are: what is gone is not asked for any more. */
  async #skipAhead(error: LogError): Promise<void> {
    const starts: readonly PartitionOffset[] = await this.#options.log.admin.listOffsets(error.partitions, "earliest", "read_committed");
    for (const start of starts) this.#reader.seek(start);
  }

  #wake(): void {
    this.#moved.resolve();
    this.#moved = Promise.withResolvers<void>();
  }

  #read(batch: FetchedBatch): void {
    const { records } = batch;
    const isStatus = batch.topic === this.#options.topics.status;
    for (let i = 0; i < records.count; i++) {
      if (isStatus) {
        const status = parseStatus(records.value(i));
        if (status !== undefined) this.#remember(status);
        continue;
      }
      const parsed = parseCommand(records.key(i), records.value(i), () => true);
      if (parsed.kind === "command" && !this.#known.has(commandKey(parsed.command))) {
        const { v, id, tenant, deviceId, name, guarantee, issuedTs, expiresTs } = parsed.command;
        this.#remember({ v, id, tenant, deviceId, name, state: "queued", attempts: 0, guarantee, ts: issuedTs, expiresTs });
      }
    }
    this.#positions.set(nameOf(batch), batch.nextOffset);
  }

  #remember(known: CommandStatus | KnownCommand): void {
    const key = commandKey(known);
    this.#known.delete(key); // to the end: the newest
    this.#known.set(key, known);
    if (this.#known.size <= MAX_COMMANDS) return;
    for (const oldest of this.#known.keys()) {
      this.#known.delete(oldest);
      return;
    }
  }
}

function nameOf({ topic, partition }: { topic: string; partition: number }): string {
  return `${topic}/${partition}`;
}
