/**
 * The idempotent writer. One request a broker and one batch a partition in flight: so a batch that failed is simply sent again, with
 * the same sequence number, before anything behind it.
 */
import type { Logger } from "pino";
import { LogError } from "../../errors.ts";
import type { Compression, PlainWriter, PlainWriterOptions, RecordHeader, TopicPartition, WrittenRange } from "../../port.ts";
import { encodeBatch } from "../../records/encode-batch.ts";
import type { RecordSet } from "../../records/record-set.ts";
import { NO_LEADER, type Cluster } from "../connection/cluster.ts";
import type { Connections } from "../connection/connections.ts";
import {
  CORRUPT_MESSAGE,
  DUPLICATE_SEQUENCE_NUMBER,
  isTransient,
  MESSAGE_TOO_LARGE,
  NONE,
  OUT_OF_ORDER_SEQUENCE_NUMBER,
  UNKNOWN_PRODUCER_ID,
  UNKNOWN_TOPIC_OR_PARTITION,
} from "../protocol-errors.ts";
import type { RecordDone, OutgoingBatch } from "./outgoing-batch.ts";
import { PartitionQueue } from "./partition-queue.ts";
import { PlainProducer } from "./plain-producer.ts";
import { produce, produceError, type ProduceResult } from "./produce.ts";
import { Tally } from "./tally.ts";
import { unwrittenBuilders, WrittenBatches } from "./written-batches.ts";

const DEFAULT_LINGER_MS = 5;
const DEFAULT_MAX_BATCH_BYTES = 512 * 1024;
const DEFAULT_MAX_BUFFERED_BYTES = 16 * 1024 * 1024;
/** Kafka's own producer gives up a record after as long (delivery.timeout.ms). */
const DELIVERY_TIMEOUT_MS = 120_000;
/** All batches of one request: bounds the synchronous encoding before it. */
const MAX_REQUEST_BYTES = 4 * 1024 * 1024;
/** Kafka closes the connection at a request of over 100 MB (socket.request.max.bytes) without saying why. */
const MAX_RECORD_BYTES = 64 * 1024 * 1024;
/** A topic may be unknown for a moment after it was made, or while a broker starts. */
const UNKNOWN_TOPIC_GRACE_MS = 5_000;

export class KafkaPlainWriter implements PlainWriter {
  readonly #cluster: Cluster;
  readonly #connections: Connections;
  readonly #logger: Logger;
  readonly #lingerMs: number;
  readonly #maxBatchBytes: number;
  readonly #maxBufferedBytes: number;
  readonly #compression: Compression;
  readonly #queues = new Map<string, PartitionQueue[]>();
  /** Those that hold something. */
  readonly #active = new Set<PartitionQueue>();
  readonly #producer: PlainProducer;
  readonly #inFlight = new Set<number>();
  #bufferedBytes = 0;
  #roomWaiters: (() => void)[] = [];
  #lingerTimer: NodeJS.Timeout | undefined;
  #retryTimer: NodeJS.Timeout | undefined;
  #closing = false;
  #closed = false;

  constructor(cluster: Cluster, options: PlainWriterOptions, logger: Logger) {
    this.#cluster = cluster;
    this.#connections = cluster.connect();
    this.#logger = logger;
    this.#lingerMs = options.lingerMs ?? DEFAULT_LINGER_MS;
    this.#maxBatchBytes = options.maxBatchBytes ?? DEFAULT_MAX_BATCH_BYTES;
    this.#maxBufferedBytes = options.maxBufferedBytes ?? DEFAULT_MAX_BUFFERED_BYTES;
    this.#compression = options.compression ?? "none";
    this.#producer = new PlainProducer(cluster, this.#connections);
  }

  send(
    to: TopicPartition,
    key: Uint8Array | null,
    value: Uint8Array | null,
    headers: readonly RecordHeader[] | undefined,
    timestamp: number,
    done: RecordDone,
  ): void {
    this.#checkOpen();
    const bytes = (key?.length ?? 0) + (value?.length ?? 0);
    if (bytes > MAX_RECORD_BYTES)
      throw new LogError("record-too-large", `a record of ${bytes} bytes for ${to.topic}/${to.partition}`, {
        partitions: [{ topic: to.topic, partition: to.partition }],
      });
    if (this.#bufferedBytes >= 2 * this.#maxBufferedBytes)
      throw new LogError("buffer-full", `${this.#bufferedBytes} bytes wait already: await ready()`);
    const queue = this.#queue(to);
    this.#bufferedBytes += queue.append(key, value, headers, timestamp, done);
    this.#active.add(queue);
    if (queue.isFull && !queue.busy) this.#pump();
    else this.#lingerTimer ??= setTimeout(() => this.#lingerOver(), this.#lingerMs);
  }

  ready(): Promise<void> {
    if (this.#bufferedBytes < this.#maxBufferedBytes || this.#closed) return Promise.resolve();
    return new Promise((resolve) => this.#roomWaiters.push(resolve));
  }

  async write(records: RecordSet): Promise<readonly WrittenRange[]> {
    this.#checkOpen();
    const builders = unwrittenBuilders(records);
    const tally = new Tally(records.recordCount);
    for (const builder of builders) {
      const queue = this.#queue(builder);
      queue.push(builder.batches, new WrittenBatches(builder, tally));
      this.#bufferedBytes += builder.byteLength;
      this.#active.add(queue);
    }
    this.#pump();
    return tally.done;
  }

  async flush(): Promise<void> {
    let records = 0;
    const waiting: OutgoingBatch[] = [];
    for (const queue of this.#active) {
      queue.seal();
      for (const batch of queue.sealed) {
        records += batch.recordCount;
        waiting.push(batch);
      }
    }
    const tally = new Tally(records);
    for (const batch of waiting) batch.observers.push(tally);
    this.#pump();
    // Each record's own callback has its error; flush only waits.
    await tally.done.catch(() => undefined);
  }

  async close(): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    await this.flush();
    this.#closed = true;
    clearTimeout(this.#lingerTimer);
    clearTimeout(this.#retryTimer);
    await this.#connections.close();
  }

  #queue({ topic, partition }: TopicPartition): PartitionQueue {
    let partitions = this.#queues.get(topic);
    if (partitions === undefined) this.#queues.set(topic, (partitions = []));
    return (partitions[partition] ??= new PartitionQueue(topic, partition, this.#maxBatchBytes));
  }

  #lingerOver(): void {
    this.#lingerTimer = undefined;
    for (const queue of this.#active) queue.due = true;
    this.#pump();
  }

  /** Sends whatever can be sent now. Called after whatever may have made something possible. */
  #pump(): void {
    if (this.#closed) return;
    const now = performance.now();
    let wakeAt = Infinity;
    const byLeader = new Map<number, PartitionQueue[]>();
    let tried = false;
    let wantsProducer = false;
    for (const queue of this.#active) {
      this.#expire(queue, now);
      if (queue.isEmpty) {
        if (!queue.busy) this.#active.delete(queue);
        continue;
      }
      if ((queue.sealed[0]?.attempts ?? 0) > 0) tried = true;
      if (queue.busy) continue;
      if (queue.notBefore > now) {
        wakeAt = Math.min(wakeAt, queue.notBefore);
        continue;
      }
      const head = queue.head();
      if (head === undefined) continue;
      if (head.attempts === 0 && !this.#producer.usable) {
        wantsProducer = true;
        continue;
      }
      const leader = this.#cluster.cachedLeader(queue);
      if (leader === undefined || leader === NO_LEADER) {
        void this.#findLeader(queue);
        continue;
      }
      const group = byLeader.get(leader);
      if (group === undefined) byLeader.set(leader, [queue]);
      else group.push(queue);
    }
    for (const [leader, queues] of byLeader) if (!this.#inFlight.has(leader)) void this.#send(leader, queues);
    // What was tried under a spent producer id is settled under it first: under a new one it could be doubled.
    if (wantsProducer && !tried && !this.#producer.initializing) void this.#initProducer();
    clearTimeout(this.#retryTimer);
    if (wakeAt !== Infinity) this.#retryTimer = setTimeout(() => this.#pump(), Math.max(1, wakeAt - now));
  }

  async #send(leader: number, queues: readonly PartitionQueue[]): Promise<void> {
    this.#inFlight.add(leader);
    const sending: PartitionQueue[] = [];
    const batches: { topic: string; partition: number; bytes: Buffer }[] = [];
    let bytes = 0;
    for (const queue of queues) {
      const head = queue.sealed[0];
      if (bytes > 0 && bytes + head.byteLength > MAX_REQUEST_BYTES) continue;
      bytes += head.byteLength;
      const { topic, partition } = queue;
      head.encoded ??= encodeBatch(head.pending, { ...this.#producer.stamp(topic, partition), compression: this.#compression });
      head.attempts++;
      queue.busy = true;
      sending.push(queue);
      batches.push({ topic, partition, bytes: head.encoded });
    }
    try {
      const results = await produce(this.#connections, leader, batches, null);
      for (const [index, result] of results.entries()) this.#settle(sending[index], result);
    } catch (error) {
      for (const queue of sending) this.#drop(queue, error as Error);
    } finally {
      this.#inFlight.delete(leader);
      for (const queue of sending) queue.busy = false;
    }
    this.#pump();
  }

  #settle(queue: PartitionQueue, result: ProduceResult): void {
    if (result.kind === "unanswered") {
      this.#retryLater(queue, result.error);
      return;
    }
    const { errorCode } = result;
    const head = queue.sealed[0];
    if (errorCode === NONE || errorCode === DUPLICATE_SEQUENCE_NUMBER) {
      queue.succeeded();
      this.#producer.advance(queue.topic, queue.partition, head.recordCount);
      this.#finish(queue, errorCode === NONE ? result.baseOffset : -1, undefined);
      return;
    }
    const error = produceError(errorCode, queue, { bytes: head.encoded?.length ?? head.byteLength, records: head.recordCount });
    const unknownTopic = errorCode === UNKNOWN_TOPIC_OR_PARTITION && this.#mayAppear(queue);
    if (isTransient(errorCode) || errorCode === CORRUPT_MESSAGE || unknownTopic) this.#retryLater(queue, error);
    else if (errorCode === MESSAGE_TOO_LARGE && head.recordCount > 1) this.#split(queue, head);
    else if (errorCode === OUT_OF_ORDER_SEQUENCE_NUMBER || errorCode === UNKNOWN_PRODUCER_ID) this.#outOfSequence(queue, head, error);
    else this.#finish(queue, -1, error);
  }

  /** The topic's limit is below ours. */
  #split(queue: PartitionQueue, head: OutgoingBatch): void {
    const [first, second] = head.halves();
    queue.sealed.splice(0, 1, first, second);
    this.#bufferedBytes += first.byteLength + second.byteLength - head.byteLength;
  }

  /** The broker forgot the producer. What was tried only once is certainly not written and goes out under a new producer id; else nobody knows. */
  #outOfSequence(queue: PartitionQueue, head: OutgoingBatch, error: LogError): void {
    this.#producer.spend();
    this.#logger.warn({ err: error }, "the broker lost the sequence of this writer; it takes a new producer id");
    if (head.attempts === 1) {
      head.attempts = 0;
      head.encoded = undefined;
    } else this.#finish(queue, -1, unknownOutcome(queue, error));
  }

  #mayAppear(queue: PartitionQueue): boolean {
    const now = performance.now();
    queue.unknownSince ??= now;
    return now - queue.unknownSince < UNKNOWN_TOPIC_GRACE_MS;
  }

  #retryLater(queue: PartitionQueue, error: LogError): void {
    this.#logger.debug({ err: error }, "write failed, trying again");
    this.#cluster.forget([queue.topic]);
    queue.backOff(performance.now());
  }

  /** Gives up what waited too long. */
  #expire(queue: PartitionQueue, now: number): void {
    if (queue.busy || now - queue.oldest < DELIVERY_TIMEOUT_MS) return;
    queue.seal();
    while (queue.sealed.length > 0 && now - queue.sealed[0].createdAt >= DELIVERY_TIMEOUT_MS) {
      const where = `${queue.topic}/${queue.partition}`;
      const error = new LogError("timed-out", `no write to ${where} within ${DELIVERY_TIMEOUT_MS} ms`, {
        partitions: [{ topic: queue.topic, partition: queue.partition }],
      });
      if (queue.sealed[0].attempts > 0) this.#drop(queue, unknownOutcome(queue, error));
      else this.#finish(queue, -1, error);
    }
  }

  /** Gives up a batch that may have been written: the sequence behind it is unknown, so the producer id is spent. */
  #drop(queue: PartitionQueue, error: Error): void {
    this.#producer.spend();
    this.#finish(queue, -1, error);
  }

  #finish(queue: PartitionQueue, baseOffset: number, error: Error | undefined): void {
    const batch = queue.sealed.shift();
    if (batch === undefined) return;
    this.#bufferedBytes -= batch.byteLength;
    if (this.#bufferedBytes < this.#maxBufferedBytes && this.#roomWaiters.length > 0) {
      for (const resolve of this.#roomWaiters) resolve();
      this.#roomWaiters = [];
    }
    batch.settle(baseOffset, error);
  }

  async #findLeader(queue: PartitionQueue): Promise<void> {
    queue.busy = true;
    try {
      if ((await this.#cluster.leader(queue)) === NO_LEADER)
        throw new LogError("unavailable", `${queue.topic}/${queue.partition} has no leader`);
    } catch (error) {
      if (!(error instanceof LogError)) throw error;
      const passes = error.action === "retriable" || (error.code === "unknown-topic" && this.#mayAppear(queue));
      if (passes) this.#retryLater(queue, error);
      else while (queue.sealed.length > 0) this.#finish(queue, -1, error);
    } finally {
      queue.busy = false;
    }
    this.#pump();
  }

  async #initProducer(): Promise<void> {
    const error = await this.#producer.init();
    if (error !== undefined && !this.#closed) {
      this.#logger.debug({ err: error }, "no producer id yet");
      for (const queue of this.#active) {
        if (error.action === "retriable") queue.backOff(performance.now());
        else while (queue.sealed.length > 0) this.#finish(queue, -1, error);
      }
    }
    this.#pump();
  }

  #checkOpen(): void {
    if (this.#closing) throw new LogError("closed", "the writer is closed");
  }
}

function unknownOutcome({ topic, partition }: TopicPartition, cause: Error): LogError {
  return new LogError("unknown-outcome", `whether a batch for ${topic}/${partition} was written is not known: ${cause.message}`, {
    cause,
    partitions: [{ topic, partition }],
  });
}
