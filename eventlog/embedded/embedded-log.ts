/** The embedded event log: opens its directory and hands out readers, writers and group members. */
import type { Logger } from "pino";
import { LogError } from "../errors.ts";
import type {
  Admin,
  Compression,
  EventLog,
  GroupMember,
  GroupOptions,
  LogReader,
  PlainWriter,
  PlainWriterOptions,
  ReaderOptions,
  TopicPartition,
  TxnWriter,
} from "../port.ts";
import { EmbeddedAdmin } from "./admin.ts";
import { CommittedOffsets } from "./committed-offsets.ts";
import { Database } from "./database.ts";
import { EmbeddedGroupMember } from "./group-member.ts";
import { Groups } from "./groups.ts";
import { TABLE, offsetRange } from "./keys.ts";
import { Maintenance } from "./maintenance.ts";
import type { MaintenanceResult } from "./maintenance.ts";
import { PartitionRows } from "./partition-rows.ts";
import { EmbeddedPlainWriter } from "./plain-writer.ts";
import { EmbeddedReader } from "./reader.ts";
import { storedBatches, type StoredBatch } from "./stored-batches.ts";
import { Topics } from "./topics.ts";
import { Transactions } from "./transactions.ts";
import { EmbeddedTxnWriter } from "./txn-writer.ts";

export interface EmbeddedLogOptions {
  /** Data directory, made if absent; one process at a time. */
  readonly dir: string;
  /** Each write waits for the disk, so that it survives power loss and not just kill -9. Default false. */
  readonly fsync?: boolean;
  /** Time between rounds of retention and compaction. Default 30 s. */
  readonly maintenanceIntervalMs?: number;
  /** Clock of retention and compaction, epoch ms. Default Date.now. */
  readonly now?: () => number;
  /** Told of maintenance that failed. */
  readonly logger?: Logger;
}

const MAINTENANCE_INTERVAL_MS = 30_000;

interface Parts {
  readonly database: Database;
  readonly topics: Topics;
  readonly partitionRows: PartitionRows;
  readonly offsets: CommittedOffsets;
  readonly groups: Groups;
  readonly transactions: Transactions;
}

/** See the folder's README for how it differs from Kafka. */
export class EmbeddedLog implements EventLog {
  readonly admin: Admin;
  readonly #parts: Parts;
  readonly #maintenance: Maintenance;
  readonly #closeables = new Set<{ close(): Promise<void> }>();
  #closed = false;

  private constructor(parts: Parts, options: EmbeddedLogOptions) {
    this.#parts = parts;
    this.admin = new EmbeddedAdmin(parts);
    this.#maintenance = new Maintenance(parts, {
      intervalMs: options.maintenanceIntervalMs ?? MAINTENANCE_INTERVAL_MS,
      now: options.now ?? Date.now,
      logger: options.logger,
    });
  }

  /** Throws `unavailable` (fatal) when another process holds the directory or it cannot be read. */
  static async open(options: EmbeddedLogOptions): Promise<EmbeddedLog> {
    const database = await Database.open(options.dir, options.fsync ?? false);
    try {
      const topics = await Topics.load(database);
      const offsets = await CommittedOffsets.load(database);
      const parts = {
        database,
        topics,
        offsets,
        partitionRows: new PartitionRows(database),
        groups: new Groups(offsets),
        transactions: new Transactions(),
      };
      return new EmbeddedLog(parts, options);
    } catch (error) {
      await database.close();
      throw error;
    }
  }

  reader(options: ReaderOptions): LogReader {
    this.#assertOpen();
    const { database, topics } = this.#parts;
    return this.#track(new EmbeddedReader(database, topics, options, (reader) => this.#closeables.delete(reader)));
  }

  txnWriter(options: { transactionalId: string; timeoutMs: number; compression?: Compression }): TxnWriter {
    this.#assertOpen();
    return this.#track(new EmbeddedTxnWriter(this.#parts, options, (writer) => this.#closeables.delete(writer)));
  }

  plainWriter(options: PlainWriterOptions): PlainWriter {
    this.#assertOpen();
    const { database, topics } = this.#parts;
    return this.#track(new EmbeddedPlainWriter(database, topics, options, (writer) => this.#closeables.delete(writer)));
  }

  group(options: GroupOptions): GroupMember {
    this.#assertOpen();
    return new EmbeddedGroupMember(this.#parts.groups, options);
  }

  // async: a refusal is a rejection
  async partitionCount(topic: string): Promise<number> {
    return this.#parts.topics.partitionCount(topic);
  }

  /** One round of retention and compaction now, besides those of the timer. */
  runMaintenance(): Promise<MaintenanceResult> {
    this.#assertOpen();
    return this.#maintenance.run();
  }

  /** The batches of a partition as they are stored, oldest first, in slices: for an owner that bounds them by size itself. */
  async *storedBatches(of: TopicPartition): AsyncGenerator<readonly StoredBatch[], void> {
    this.#assertOpen();
    const { database, topics } = this.#parts;
    yield* storedBatches(database, topics.partition(of));
  }

  /** Gives the disk back what was deleted of a partition. Rewrites files: for every so many megabytes, not for each deletion. */
  async reclaim(of: TopicPartition): Promise<void> {
    this.#assertOpen();
    const { database, topics } = this.#parts;
    const { topicId, partition, start } = topics.partition(of);
    await database.reclaim(offsetRange(TABLE.batch, topicId, partition, 0, start));
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#parts.groups.close();
    await Promise.all([...this.#closeables].map((closeable) => closeable.close()));
    await this.#maintenance.stop();
    await this.#parts.database.close();
  }

  #track<T extends { close(): Promise<void> }>(closeable: T): T {
    this.#closeables.add(closeable);
    return closeable;
  }

  #assertOpen(): void {
    if (this.#closed) throw new LogError("closed", "the event log is closed");
  }
}
