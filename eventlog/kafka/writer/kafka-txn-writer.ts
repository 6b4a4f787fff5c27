/** The transactional writer; see txn-state.ts for its states and batch-rounds.ts for how records go out. */
import { LogError } from "../../errors.ts";
import type { CommittedOffset, Compression, GroupMetadata, TopicPartition, TxnWriter, WrittenRange } from "../../port.ts";
import type { RecordSet } from "../../records/record-set.ts";
import type { Cluster } from "../connection/cluster.ts";
import type { Connections } from "../connection/connections.ts";
import { delay } from "../connection/retry.ts";
import { INVALID_TXN_STATE, NONE, protocolError } from "../protocol-errors.ts";
import type { ProducerIdentity } from "../requests/init-producer-id.ts";
import { writeInRounds } from "./batch-rounds.ts";
import { Sequences } from "./sequences.ts";
import { TransactionCoordinator } from "./transaction-coordinator.ts";
import { TxnStateMachine } from "./txn-state.ts";

/** For so long at least after the end of a transaction its markers are on their way, and whatever would begin the next one is refused. */
const MARKERS_MS = 2;

export interface TxnWriterOptions {
  readonly transactionalId: string;
  /** The coordinator aborts a transaction open for longer. */
  readonly timeoutMs: number;
  readonly compression?: Compression;
}

/**
 * write() and sendOffsets() of one transaction may run at the same time. After an error of either, call abort(), so that the
 * transaction does not hold up readers; only after `stale-generation` sendOffsets() may be called again instead. A transaction that the coordinator aborted by its time-out
 * shows as `fenced`, which the protocol does not tell apart.
 */
export class KafkaTxnWriter implements TxnWriter {
  readonly transactionalId: string;
  readonly #options: TxnWriterOptions;
  readonly #cluster: Cluster;
  readonly #connections: Connections;
  readonly #coordinator: TransactionCoordinator;
  readonly #states: TxnStateMachine;
  readonly #sequences = new Sequences();
  #producer: ProducerIdentity | undefined;
  /** Partitions and groups that the coordinator knows to be in the open transaction. */
  readonly #added = new Set<string>();
  /** What announce() asks for in the open transaction: the calls after it wait for the answers, and ask only for what is missing. */
  #announced: Promise<void> | undefined;
  /** Something was asked of the coordinator or a broker, so that the transaction may be open there. */
  #touched = false;
  /**
   * Something failed: the next sequence numbers are not known, and what was given up may still reach a broker. A new epoch
   * settles both.
   */
  #epochSpent = false;
  /** The transaction is not to be committed without the offsets that were refused. */
  #offsetsRefused = false;
  /** write() and sendOffsets() calls not settled yet; the transaction must not end under them. */
  readonly #pending = new Set<Promise<unknown>>();
  /** When the last transaction ended; performance.now(). */
  #endedAt = -Infinity;

  constructor(cluster: Cluster, options: TxnWriterOptions) {
    this.transactionalId = options.transactionalId;
    this.#options = options;
    this.#cluster = cluster;
    this.#connections = cluster.connect();
    this.#states = new TxnStateMachine(options.transactionalId);
    this.#coordinator = new TransactionCoordinator(
      cluster,
      this.#connections,
      options.transactionalId,
      () => this.#states.state === "closed",
    );
  }

  async open(): Promise<void> {
    this.#states.require("open", "new", "ready", "open", "failed", "unknown", "fenced");
    if (this.#states.state === "open") this.#states.to("failed"); // stops the writes
    await Promise.allSettled(this.#pending);
    await this.#init(undefined);
    this.#states.to("ready");
  }

  begin(): void {
    this.#states.require("begin", "ready");
    this.#states.to("open");
  }

  announce(partitions: readonly TopicPartition[], groupId: string): void {
    this.#states.require("announce", "open");
    this.#announced = this.#tracked(this.#addAll(partitions, groupId));
    this.#announced.catch(() => {}); // shows in the calls that wait for it
  }

  async write(records: RecordSet): Promise<readonly WrittenRange[]> {
    this.#states.require("write", "open");
    if (records.recordCount === 0) return [];
    return this.#tracked(this.#write(records));
  }

  async sendOffsets(offsets: readonly CommittedOffset[], group: GroupMetadata): Promise<void> {
    this.#states.require("sendOffsets", "open");
    if (offsets.length === 0) return;
    await this.#tracked(this.#sendOffsets(offsets, group));
    this.#offsetsRefused = false;
  }

  async commit(): Promise<void> {
    this.#states.require("commit", "open");
    await this.#announced;
    if (this.#pending.size > 0) throw new LogError("invalid-state", `commit() of ${this.transactionalId} before its writes were done`);
    if (this.#offsetsRefused)
      throw this.#failed(new LogError("transaction-aborted", `commit() of ${this.transactionalId} after its offsets were refused`));
    if (this.#touched) await this.#end(true);
    this.#ended();
  }

  async abort(): Promise<void> {
    this.#states.require("abort", "open", "failed");
    if (this.#states.state === "open") this.#states.to("failed"); // stops the writes
    await Promise.allSettled(this.#pending);
    this.#states.require("abort", "failed");
    if (this.#touched) await this.#end(false);
    if (this.#epochSpent) {
      try {
        await this.#init(this.#identity());
      } catch (error) {
        throw this.#lost(error);
      }
    }
    this.#ended();
  }

  async close(): Promise<void> {
    this.#states.to("closed");
    await this.#connections.close();
  }

  async #tracked<T>(work: Promise<T>): Promise<T> {
    this.#pending.add(work);
    try {
      return await work;
    } catch (error) {
      // The group's coordinator refused the offsets before it wrote any: the transaction is as it was.
      if (error instanceof LogError && error.code === "stale-generation") {
        this.#offsetsRefused = true;
        throw error;
      }
      this.#epochSpent = true;
      throw this.#failed(error);
    } finally {
      this.#pending.delete(work);
    }
  }

  async #write(records: RecordSet): Promise<readonly WrittenRange[]> {
    const producer = this.#identity();
    await this.#announced;
    await this.#addPartitions(
      producer,
      records.builders.filter((builder) => builder.recordCount > 0),
    );
    const { transactionalId } = this;
    const compression = this.#options.compression ?? "none";
    const context = {
      cluster: this.#cluster,
      connections: this.#connections,
      transactionalId,
      producer,
      sequences: this.#sequences,
      compression,
    };
    return writeInRounds(records, { ...context, stopped: () => this.#states.state !== "open" });
  }

  async #sendOffsets(offsets: readonly CommittedOffset[], group: GroupMetadata): Promise<void> {
    const producer = this.#identity();
    await this.#announced;
    await this.#addGroup(producer, group.groupId);
    await this.#coordinator.commitOffsets(producer, offsets, group);
  }

  async #init(current: ProducerIdentity | undefined): Promise<void> {
    try {
      this.#producer = await this.#coordinator.init(this.#options.timeoutMs, current);
    } catch (error) {
      if (isFenced(error)) this.#states.to("fenced", error);
      throw error;
    }
    this.#sequences.reset();
    this.#epochSpent = false;
    this.#nothingOpen();
  }

  async #addAll(partitions: readonly TopicPartition[], groupId: string): Promise<void> {
    const producer = this.#identity();
    const early = this.#endedAt + MARKERS_MS - performance.now();
    if (early > 0) await delay(early);
    await this.#addPartitions(producer, partitions);
    await this.#addGroup(producer, groupId);
  }

  async #addPartitions(producer: ProducerIdentity, partitions: readonly TopicPartition[]): Promise<void> {
    const fresh = partitions.filter(({ topic, partition }) => !this.#added.has(`${topic}/${partition}`));
    if (fresh.length === 0) return;
    this.#touched = true;
    await this.#coordinator.addPartitions(producer, fresh);
    for (const { topic, partition } of fresh) this.#added.add(`${topic}/${partition}`);
  }

  async #addGroup(producer: ProducerIdentity, groupId: string): Promise<void> {
    const id = `group ${groupId}`;
    if (this.#added.has(id)) return;
    this.#touched = true;
    await this.#coordinator.addOffsets(producer, groupId);
    this.#added.add(id);
  }

  async #end(commit: boolean): Promise<void> {
    let errorCode: number;
    try {
      errorCode = await this.#coordinator.end(this.#identity(), commit);
    } catch (error) {
      throw this.#lost(error);
    }
    if (errorCode === NONE) return;
    // Nothing was open at the coordinator: what an abort wants.
    if (!commit && errorCode === INVALID_TXN_STATE) {
      this.#epochSpent = true;
      return;
    }
    throw this.#failed(protocolError(errorCode, `EndTxn of ${this.transactionalId}`));
  }

  #ended(): void {
    this.#endedAt = performance.now();
    this.#nothingOpen();
    this.#states.to("ready");
  }

  #nothingOpen(): void {
    this.#announced = undefined;
    this.#touched = false;
    this.#offsetsRefused = false;
    this.#added.clear();
  }

  /** An error in an open transaction: it can only be aborted, or is another's now. */
  #failed(error: unknown): unknown {
    if (this.#states.state === "closed") return error;
    if (isFenced(error)) this.#states.to("fenced", error);
    else if (this.#states.state === "open") this.#states.to("failed", error);
    // Nothing of an open transaction counts before its commit, so what is retriable or unknown elsewhere is abortable here.
    if (error instanceof LogError && (error.action === "retriable" || error.action === "unknown-outcome")) {
      return new LogError("transaction-aborted", error.message, { cause: error, partitions: error.partitions });
    }
    return error;
  }

  /** No answer to the end of a transaction, in all the time allowed. */
  #lost(error: unknown): unknown {
    if (this.#states.state === "closed") return error;
    if (isFenced(error)) {
      this.#states.to("fenced", error);
      return error;
    }
    this.#states.to("unknown", error);
    return new LogError("unknown-outcome", `the end of ${this.transactionalId}'s transaction is not known`, { cause: error });
  }

  #identity(): ProducerIdentity {
    if (this.#producer === undefined) throw new LogError("invalid-state", `transactional writer ${this.transactionalId} is not open`);
    return this.#producer;
  }
}

function isFenced(error: unknown): boolean {
  return error instanceof LogError && error.code === "fenced";
}
