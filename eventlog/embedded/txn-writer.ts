/**
 * Transactions: rows and group offsets are collected in memory and written by commit() in one atomic database batch.
 *
 *     created --open--> ready --begin--> open --commit--> committing --> ready
 *                         ^               |                   '--(failed write)--> broken
 *                         '----abort------+--(time-out)--> expired --abort--> ready
 *     any --another's open, admin.fence--> fenced;  any --close--> closed;  any but closed --open--> ready
 */
import { LogError } from "../errors.ts";
import type { CommittedOffset, Compression, GroupMetadata, TxnWriter, WrittenRange } from "../port.ts";
import type { RecordSet } from "../records/record-set.ts";
import type { HeldOffsets } from "./committed-offsets.ts";
import type { Database } from "./database.ts";
import type { Groups } from "./groups.ts";
import type { PartitionRows } from "./partition-rows.ts";
import { decideAppend, stageAppend } from "./stage-append.ts";
import type { StagedAppend } from "./stage-append.ts";
import type { Topics } from "./topics.ts";
import { fencedError } from "./transactions.ts";
import type { Transactions, TxnHolder } from "./transactions.ts";

type State = "created" | "ready" | "open" | "committing" | "expired" | "broken" | "fenced" | "closed";

/** The parts of the log that a transaction touches. */
interface TxnLog {
  readonly database: Database;
  readonly topics: Topics;
  readonly partitionRows: PartitionRows;
  readonly groups: Groups;
  readonly transactions: Transactions;
}

/** A transaction is held in memory until it commits; Kafka Streams-like work stays below a few MiB. */
const MAX_TRANSACTION_BYTES = 512 * 1024 * 1024;

export class EmbeddedTxnWriter implements TxnWriter, TxnHolder {
  readonly transactionalId: string;
  readonly #log: TxnLog;
  readonly #timeoutMs: number;
  readonly #compression: Compression;
  readonly #onClose: (writer: EmbeddedTxnWriter) => void;
  #state: State = "created";
  #staged: StagedAppend[] = [];
  #stagedBytes = 0;
  #held: HeldOffsets[] = [];
  /** The transaction is not to be committed without the offsets that were refused. */
  #offsetsRefused = false;
  #timer: NodeJS.Timeout | undefined;
  #committing: Promise<void> | undefined;

  constructor(
    log: TxnLog,
    options: { transactionalId: string; timeoutMs: number; compression?: Compression },
    onClose: (writer: EmbeddedTxnWriter) => void,
  ) {
    this.#onClose = onClose;
    this.#log = log;
    this.transactionalId = options.transactionalId;
    this.#timeoutMs = options.timeoutMs;
    this.#compression = options.compression ?? "none";
  }

  get hasOpenTransaction(): boolean {
    return this.#state === "open" || this.#state === "committing";
  }

  async open(): Promise<void> {
    this.#expect("open", "created", "ready", "open", "expired", "broken", "fenced");
    this.#state = "created";
    await this.#log.transactions.takeOver(this);
    await this.#giveUp();
    this.#expect("open", "created");
    this.#state = "ready";
  }

  begin(): void {
    this.#expect("begin", "ready");
    this.#state = "open";
    this.#timer = setTimeout(() => void this.#expire(), this.#timeoutMs);
    this.#timer.unref();
  }

  announce(): void {
    this.#expect("announce", "open");
  }

  // async: every refusal is a rejection
  async write(records: RecordSet): Promise<readonly WrittenRange[]> {
    this.#expect("write", "open");
    if (this.#stagedBytes + records.byteLength > MAX_TRANSACTION_BYTES) {
      throw new LogError("record-too-large", `a transaction of over ${MAX_TRANSACTION_BYTES} bytes does not fit the embedded log`);
    }
    this.#log.database.assertWritable();
    const staged = stageAppend(this.#log.topics, records.builders, this.#compression, true);
    this.#staged.push(staged);
    this.#stagedBytes += staged.bytes;
    return staged.ranges;
  }

  async sendOffsets(offsets: readonly CommittedOffset[], group: GroupMetadata): Promise<void> {
    this.#expect("sendOffsets", "open");
    this.#offsetsRefused = true;
    this.#log.groups.validate(group);
    this.#offsetsRefused = false;
    this.#held.push(this.#log.groups.offsets.hold(group.groupId, offsets));
  }

  async commit(): Promise<void> {
    this.#expect("commit", "open");
    if (this.#offsetsRefused)
      throw new LogError("transaction-aborted", `commit() of ${this.transactionalId} after its offsets were refused`);
    clearTimeout(this.#timer);
    for (const { reserved } of this.#staged) {
      const gone = reserved.find(({ partition }) => partition.deleted)?.partition;
      if (gone === undefined) continue;
      this.#state = "expired";
      throw new LogError("transaction-aborted", `topic ${gone.topic} was deleted while the transaction was open`, { partitions: [gone] });
    }
    this.#state = "committing";
    this.#committing = this.#writeAll();
    try {
      await this.#committing;
    } finally {
      this.#committing = undefined;
    }
  }

  async abort(): Promise<void> {
    this.#expect("abort", "open", "expired");
    this.#state = "expired";
    await this.#giveUp();
    if (this.#state === "expired") this.#state = "ready";
  }

  async close(): Promise<void> {
    await this.#settleCommit();
    this.#state = "closed";
    await this.#giveUp();
    this.#log.transactions.release(this);
    this.#onClose(this);
  }

  async fence(): Promise<void> {
    await this.#settleCommit();
    if (this.#state !== "closed") this.#state = "fenced";
    await this.#giveUp();
  }

  async #writeAll(): Promise<void> {
    const operations = this.#staged.flatMap((staged) => staged.operations);
    for (const held of this.#held) for (const operation of held.operations) operations.push(operation);
    try {
      if (operations.length > 0) await this.#log.database.write(operations);
    } catch (error) {
      this.#state = "broken";
      throw error;
    }
    for (const held of this.#held) held.apply();
    this.#release(this.#staged, this.#held);
    this.#clear();
    this.#state = "ready";
  }

  /** Lets a commit under way end; its caller gets its outcome. */
  async #settleCommit(): Promise<void> {
    if (this.#committing !== undefined) await Promise.allSettled([this.#committing]);
  }

  /**
   * Aborts. That the offsets are gone is saved before readers may pass over them: were they handed out again after a
   * crash, a reader that had passed them would miss the new records.
   */
  async #giveUp(): Promise<void> {
    clearTimeout(this.#timer);
    const staged = this.#staged;
    const held = this.#held;
    this.#clear();
    const partitions = new Set(staged.flatMap(({ reserved }) => reserved.map(({ partition }) => partition)));
    if (partitions.size > 0) await this.#log.partitionRows.save([...partitions]);
    this.#release(staged, held);
  }

  #clear(): void {
    this.#staged = [];
    this.#stagedBytes = 0;
    this.#held = [];
    this.#offsetsRefused = false;
  }

  #release(staged: readonly StagedAppend[], held: readonly HeldOffsets[]): void {
    for (const append of staged) decideAppend(append);
    for (const offsets of held) offsets.release();
  }

  /** As a broker does at transaction.timeout.ms: readers must not wait for ever. */
  async #expire(): Promise<void> {
    if (this.#state !== "open") return;
    this.#state = "expired";
    // What cannot be saved stays undecided, which is safe; the next call of this writer meets the same database.
    await this.#giveUp().catch(() => undefined);
  }

  #expect(call: string, ...states: State[]): void {
    if (states.includes(this.#state)) return;
    if (this.#state === "fenced") throw fencedError(this.transactionalId);
    if (this.#state === "closed") throw new LogError("closed", `transactional writer ${this.transactionalId} is closed`);
    if (this.#state === "expired" && call !== "begin") {
      throw new LogError("transaction-aborted", `the transaction of ${this.transactionalId} was aborted, e.g. after ${this.#timeoutMs} ms`);
    }
    throw new LogError("invalid-state", `${call}() of transactional writer ${this.transactionalId} while ${this.#state}`);
  }
}
