/** The gateway's log on disk: one topic with one partition, because the order of all is the order of each device. */
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import { EmbeddedLog } from "../../eventlog/embedded/embedded-log.ts";
import { LogError } from "../../eventlog/errors.ts";
import type { FetchedBatch, LogReader, PlainWriter } from "../../eventlog/port.ts";
import type { RecordSet } from "../../eventlog/records/record-set.ts";
import { Segments } from "./segments.ts";

export const STORE = { topic: "gateway", partition: 0 } as const;

/** Far above what one message may have; the embedded log refuses larger batches. */
const MAX_BATCH_BYTES = 512 * 1024 * 1024;
/** The uplink's own bound is a batch; this much is read ahead of it. */
const READ_AHEAD_BYTES = 1024 * 1024;
/** Before a read that found the log closed, or its place dropped, may be made again. ms. */
const READ_PAUSE_MS = 20;

export class StoreLog {
  readonly segments: Segments;
  /** The first that is not forwarded: what is before it is deleted, so a restart begins here. */
  readonly start: number;
  readonly end: number;
  readonly #log: EmbeddedLog;
  readonly #writer: PlainWriter;
  readonly #reader: LogReader;

  private constructor(log: EmbeddedLog, segments: Segments, start: number, end: number) {
    this.#log = log;
    this.segments = segments;
    this.start = start;
    this.end = end;
    this.#writer = log.plainWriter({});
    this.#reader = log.reader({ isolation: "read_committed", maxBufferedBytes: READ_AHEAD_BYTES, maxPartitionBytes: READ_AHEAD_BYTES / 2 });
    this.readFrom(start);
  }

  /** Rejects with LogError `unavailable` when another process has the folder, or it cannot be read or written. */
  static async open(dir: string, options: { fsync: boolean; maxAgeMs: number; logger: Logger }): Promise<StoreLog> {
    const { fsync, maxAgeMs, logger } = options;
    const log = await EmbeddedLog.open({ dir, fsync, logger });
    try {
      // Bounded by the gateway itself, which counts what goes.
      await log.admin.createTopics([
        { name: STORE.topic, partitions: 1, config: { "retention.ms": "-1", "max.message.bytes": String(MAX_BATCH_BYTES) } },
      ]);
      const [{ offset: start }] = await log.admin.listOffsets([STORE], "earliest", "read_committed");
      const [{ offset: end }] = await log.admin.listOffsets([STORE], "latest", "read_committed");
      const segments = new Segments(maxAgeMs);
      for await (const batches of log.storedBatches(STORE)) {
        for (const { baseOffset, nextOffset, bytes, maxTimestamp } of batches) segments.add(baseOffset, nextOffset, bytes, maxTimestamp);
      }
      segments.removeBefore(start);
      return new StoreLog(log, segments, start, end);
    } catch (error) {
      await log.close();
      throw error;
    }
  }

  /** Resolves, when it is durable, with the first offset behind it. */
  async write(records: RecordSet, newestTs: number): Promise<number> {
    const [{ baseOffset, nextOffset }] = await this.#writer.write(records);
    this.segments.add(baseOffset, nextOffset, records.byteLength, newestTs);
    return nextOffset;
  }

  readFrom(offset: number): void {
    this.#reader.assign([{ ...STORE, offset }]);
  }

  /** [] after `waitMs`, or when the log was closed or what stood there was dropped meanwhile. */
  async read(waitMs: number): Promise<FetchedBatch[]> {
    try {
      return await this.#reader.poll(waitMs);
    } catch (error) {
      if (!(error instanceof LogError) || (error.code !== "closed" && error.code !== "offset-out-of-range")) throw error;
      // Not at once: whoever reads again must not keep from happening what ends this.
      await delay(READ_PAUSE_MS);
      return [];
    }
  }

  wakeUp(): void {
    this.#reader.wakeup();
  }

  /** Whatever is stored in `[from, to)`, and what shares its batches. */
  async *range(from: number, to: number): AsyncGenerator<FetchedBatch, void> {
    const reader = this.#log.reader({ isolation: "read_committed", maxBufferedBytes: READ_AHEAD_BYTES });
    try {
      reader.assign([{ ...STORE, offset: from }]);
      for (let at = from; at < to;) {
        for (const batch of await reader.poll(1_000)) {
          at = batch.nextOffset;
          yield batch;
        }
      }
    } finally {
      await reader.close();
    }
  }

  async deleteBefore(offset: number): Promise<void> {
    await this.#log.admin.deleteRecords([{ ...STORE, offset }]);
    this.segments.removeBefore(offset);
  }

  reclaim(): Promise<void> {
    return this.#log.reclaim(STORE);
  }

  close(): Promise<void> {
    return this.#log.close();
  }
}
