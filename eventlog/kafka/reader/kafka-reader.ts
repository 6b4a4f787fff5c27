/** The reader: one fetch in flight per broker, answers buffered undecoded, decoded in slices as they are handed out. */
import type { Logger } from "pino";
import { LogError } from "../../errors.ts";
import { oldestTrouble } from "../../oldest-trouble.ts";
import type { FetchedBatch, LogReader, PartitionOffset, ReaderOptions, TopicPartition, Trouble } from "../../port.ts";
import { NO_LEADER, type Cluster } from "../connection/cluster.ts";
import type { Connections } from "../connection/connections.ts";
import { isTransient, NONE, protocolError, UNKNOWN_TOPIC_OR_PARTITION } from "../protocol-errors.ts";
import { fetchRequest, type FetchPartitionResponse } from "../requests/fetch.ts";
import { AssignedPartition } from "./assigned-partition.ts";
import { FetchedAnswer } from "./fetched-answer.ts";
import { FetchedChunk, type OutgoingBatch } from "./fetched-chunk.ts";
import { offsetAfter } from "./whole-batches.ts";

const DEFAULT_MAX_BUFFERED_BYTES = 8 * 1024 * 1024;
const DEFAULT_MAX_PARTITION_BYTES = 1024 * 1024;
const DEFAULT_MAX_WAIT_MS = 100;
/** Decoded in one poll at most: about 3 ms of work, well under the 10 ms that a synchronous slice may take. */
const HAND_OUT_BYTES = 1024 * 1024;
/** A partition with this many full answers waiting is not asked for more, so that it cannot take the buffer from the others. */
const MAX_PARTITION_ANSWERS = 2;
/** A topic may be unknown for a moment after it was made, or while a broker starts. */
const UNKNOWN_TOPIC_GRACE_MS = 2_000;
/** A broker that says nothing for so long beyond the fetch's own wait is in trouble; the request's time-out is much later. */
const SLOW_ANSWER_MS = 5_000;

export class KafkaReader implements LogReader {
  readonly #cluster: Cluster;
  readonly #connections: Connections;
  readonly #logger: Logger;
  readonly #readCommitted: boolean;
  readonly #maxBufferedBytes: number;
  readonly #maxPartitionBytes: number;
  readonly #maxWaitMs: number;
  readonly #maxBatchBytes: number | undefined;
  /** In the order in which they are served next. */
  #partitions = new Map<string, AssignedPartition>();
  /** By broker: bytes that the fetch in flight may bring, and when it set off (performance.now()). */
  readonly #inFlight = new Map<number, { readonly maxBytes: number; readonly since: number }>();
  #timer: NodeJS.Timeout | undefined;
  #wake: (() => void) | undefined;
  #woken = false;
  #closed = false;

  constructor(cluster: Cluster, options: ReaderOptions, logger: Logger) {
    this.#cluster = cluster;
    this.#connections = cluster.connect();
    this.#logger = logger;
    this.#readCommitted = options.isolation === "read_committed";
    this.#maxBufferedBytes = options.maxBufferedBytes ?? DEFAULT_MAX_BUFFERED_BYTES;
    this.#maxPartitionBytes = options.maxPartitionBytes ?? DEFAULT_MAX_PARTITION_BYTES;
    this.#maxWaitMs = options.maxWaitMs ?? DEFAULT_MAX_WAIT_MS;
    this.#maxBatchBytes = options.maxBatchBytes;
  }

  assign(offsets: readonly PartitionOffset[]): void {
    this.#checkOpen();
    const next = new Map<string, AssignedPartition>();
    for (const { topic, partition, offset } of offsets) {
      const id = partitionId(topic, partition);
      const kept = this.#partitions.get(id);
      next.set(
        id,
        kept !== undefined && kept.position === offset && kept.error === undefined ? kept : new AssignedPartition(topic, partition, offset),
      );
    }
    this.#partitions = next;
    this.#pump();
  }

  seek({ topic, partition, offset }: PartitionOffset): void {
    const id = partitionId(topic, partition);
    const old = this.#assigned(topic, partition);
    const moved = new AssignedPartition(topic, partition, offset);
    moved.paused = old.paused;
    this.#partitions.set(id, moved);
    this.#pump();
  }

  pause(partitions: readonly TopicPartition[]): void {
    for (const { topic, partition } of partitions) this.#assigned(topic, partition).paused = true;
  }

  resume(partitions: readonly TopicPartition[]): void {
    for (const { topic, partition } of partitions) this.#assigned(topic, partition).paused = false;
    this.#wake?.();
    this.#pump();
  }

  async poll(waitMs: number): Promise<FetchedBatch[]> {
    this.#checkOpen();
    if (this.#wake !== undefined) throw new LogError("invalid-state", "poll() was called while another poll() is pending");
    const deadline = performance.now() + waitMs;
    for (;;) {
      const batches = this.#handOut();
      this.#pump();
      const leftMs = deadline - performance.now();
      if (batches.length > 0 || leftMs <= 0 || this.#woken || this.#closed) {
        this.#woken = false;
        return batches;
      }
      await this.#waitForData(leftMs);
    }
  }

  wakeup(): void {
    this.#woken = true;
    this.#wake?.();
  }

  get trouble(): Trouble | undefined {
    const failing = [...this.#partitions.values()].map(({ paused, trouble }) => (paused ? undefined : trouble));
    const overdue = performance.now() - this.#maxWaitMs - SLOW_ANSWER_MS;
    const late = [...this.#inFlight].filter(([, { since }]) => since < overdue);
    return oldestTrouble([
      ...failing,
      ...late.map(([leader, { since }]) => ({ since, error: new LogError("timed-out", `Fetch: no answer from broker ${leader} yet`) })),
    ]);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#partitions = new Map();
    this.#wake?.();
    await this.#connections.close();
  }

  #handOut(): OutgoingBatch[] {
    const out: OutgoingBatch[] = [];
    let budget = HAND_OUT_BYTES;
    for (const [id, one] of this.#partitions) {
      if (one.paused) continue;
      if (one.error !== undefined && !one.hasBuffered) {
        if (out.length > 0) continue; // what was read comes first
        throw one.error;
      }
      if (!one.hasBuffered || budget <= 0) continue;
      try {
        budget -= one.take(out, budget);
      } catch (error) {
        // Poll again and again must not skip the broken batch.
        const broken = new AssignedPartition(one.topic, one.partition, one.position);
        broken.error = ofPartition(one, error);
        this.#partitions.set(id, broken);
        if (out.length === 0) throw broken.error;
      }
    }
    // Whoever was served goes behind those who were not.
    for (const { topic, partition } of out) this.#toBack(partitionId(topic, partition));
    return out;
  }

  #toBack(id: string): void {
    const one = this.#partitions.get(id);
    if (one === undefined) return;
    this.#partitions.delete(id);
    this.#partitions.set(id, one);
  }

  /** Sends every fetch there is room for. Called after whatever may have made one possible. */
  #pump(): void {
    if (this.#closed) return;
    const now = performance.now();
    const byLeader = new Map<number, AssignedPartition[]>();
    let earliest = Infinity;
    let buffered = 0;
    for (const one of this.#partitions.values()) {
      if (one.paused) continue; // what is buffered of it waits, and must not starve the others
      const bytes = one.bufferedBytes;
      buffered += bytes;
      if (one.busy || one.error !== undefined || bytes >= MAX_PARTITION_ANSWERS * this.#maxPartitionBytes) continue;
      if (one.notBefore > now) {
        earliest = Math.min(earliest, one.notBefore);
        continue;
      }
      const leader = this.#cluster.cachedLeader(one);
      if (leader === undefined || leader === NO_LEADER) {
        void this.#findLeader(one);
        continue;
      }
      const list = byLeader.get(leader);
      if (list === undefined) byLeader.set(leader, [one]);
      else list.push(one);
    }
    for (const { maxBytes } of this.#inFlight.values()) buffered += maxBytes;
    const enough = Math.min(this.#maxPartitionBytes, this.#maxBufferedBytes / 4);
    for (const [leader, partitions] of byLeader) {
      const room = this.#maxBufferedBytes - buffered;
      if (this.#inFlight.has(leader) || room < enough) continue;
      const maxBytes = Math.min(room, partitions.length * this.#maxPartitionBytes);
      buffered += maxBytes;
      void this.#fetch(leader, partitions, maxBytes);
    }
    clearTimeout(this.#timer);
    if (earliest !== Infinity) this.#timer = setTimeout(() => this.#pump(), Math.max(1, earliest - now));
  }

  async #fetch(leader: number, partitions: readonly AssignedPartition[], maxBytes: number): Promise<void> {
    this.#inFlight.set(leader, { maxBytes, since: performance.now() });
    for (const one of partitions) one.busy = true;
    const asked = partitions.map(({ topic, partition, fetchOffset }) => ({
      topic,
      partition,
      offset: fetchOffset,
      maxBytes: this.#maxPartitionBytes,
    }));
    const options = { maxWaitMs: this.#maxWaitMs, maxBytes, readCommitted: this.#readCommitted };
    try {
      const response = await this.#connections.send(
        leader,
        fetchRequest(asked, options),
        this.#connections.requestTimeoutMs + this.#maxWaitMs,
      );
      if (response.errorCode !== NONE) throw protocolError(response.errorCode, "Fetch");
      this.#accept(partitions, response.partitions);
    } catch (error) {
      if (error instanceof LogError && error.action === "retriable") this.#failed(partitions, error);
      else for (const one of partitions) one.error = asLogError(error);
    } finally {
      this.#inFlight.delete(leader);
      for (const one of partitions) one.busy = false;
    }
    this.#wake?.();
    this.#pump();
  }

  #accept(partitions: readonly AssignedPartition[], answers: readonly FetchPartitionResponse[]): void {
    if (answers.length === 0) return;
    const whole = new FetchedAnswer(answers[0].records);
    for (const answer of answers) {
      const id = partitionId(answer.topic, answer.partition);
      const one = this.#partitions.get(id);
      if (one === undefined || !partitions.includes(one)) continue; // revoked or moved by a seek meanwhile
      if (answer.errorCode !== NONE) {
        this.#refused(one, protocolError(answer.errorCode, `reading ${id} at ${one.fetchOffset}`, [one]), answer.errorCode);
        continue;
      }
      one.succeeded();
      if (answer.records.length === 0) continue;
      const next = offsetAfter(answer.records);
      if (next !== undefined) {
        one.buffer(new FetchedChunk(answer, whole, one.fetchOffset, this.#maxBatchBytes), next);
        this.#toBack(id);
      } else if (one === partitions[0]) {
        // KIP-74: the first partition gets its first batch whole, whatever its size.
        one.error = new LogError("corrupt-batch", `${id} at ${one.fetchOffset}: the answer holds no whole batch`, {
          partitions: [{ topic: one.topic, partition: one.partition }],
        });
      }
    }
  }

  #refused(one: AssignedPartition, error: LogError, errorCode: number): void {
    if (errorCode === UNKNOWN_TOPIC_OR_PARTITION) this.#unknownTopic(one, error);
    else if (isTransient(errorCode)) this.#failed([one], error);
    else one.error = error;
  }

  #unknownTopic(one: AssignedPartition, error: LogError): void {
    const now = performance.now();
    one.unknownSince ??= now;
    if (now - one.unknownSince >= UNKNOWN_TOPIC_GRACE_MS) one.error = error;
    else this.#failed([one], error);
  }

  /** To be retried, with a new look at who leads. */
  #failed(partitions: readonly AssignedPartition[], error: Error): void {
    if (this.#closed) return;
    const now = performance.now();
    this.#cluster.forget(partitions.map(({ topic }) => topic));
    for (const one of partitions) one.backOff(now, error);
    this.#logger.debug(
      { err: error, partitions: partitions.map(({ topic, partition }) => partitionId(topic, partition)) },
      "fetch failed, trying again",
    );
  }

  async #findLeader(one: AssignedPartition): Promise<void> {
    one.busy = true;
    try {
      const leader = await this.#cluster.leader(one);
      if (leader === NO_LEADER) throw new LogError("unavailable", `${partitionId(one.topic, one.partition)} has no leader`);
    } catch (error) {
      const problem = asLogError(error);
      if (problem.code === "unknown-topic") this.#unknownTopic(one, problem);
      else if (problem.action === "retriable") this.#failed([one], problem);
      else one.error = problem;
      this.#wake?.();
    } finally {
      one.busy = false;
    }
    this.#pump();
  }

  #waitForData(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#wake?.(), ms);
      this.#wake = () => {
        clearTimeout(timer);
        this.#wake = undefined;
        resolve();
      };
    });
  }

  #assigned(topic: string, partition: number): AssignedPartition {
    this.#checkOpen();
    const one = this.#partitions.get(partitionId(topic, partition));
    if (one === undefined)
      throw new LogError("invalid-state", `${partitionId(topic, partition)} is not assigned`, { partitions: [{ topic, partition }] });
    return one;
  }

  #checkOpen(): void {
    if (this.#closed) throw new LogError("closed", "the reader is closed");
  }
}

/** What is no LogError is a mistake of ours, and must not be lost either: it reaches the caller through poll(). */
function asLogError(error: unknown): LogError {
  return error instanceof LogError ? error : new LogError("invalid-state", "reading failed", { cause: error });
}

/** A batch that cannot be opened: where it is. */
function ofPartition({ topic, partition, position }: AssignedPartition, cause: unknown): LogError {
  const { code, message } = asLogError(cause);
  return new LogError(code, `the batch of ${partitionId(topic, partition)} at offset ${position}: ${message}`, {
    cause,
    partitions: [{ topic, partition }],
  });
}

function partitionId(topic: string, partition: number): string {
  return `${topic}/${partition}`;
}
