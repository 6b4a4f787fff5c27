/**
 * Writes every batch of a record set, in rounds: each round carries the next batch of every partition that has one left (Kafka takes
 * one a partition and request), in one request a broker, the brokers in parallel. What failed for a passing reason goes again, with the same
 * sequence number, in the next round.
 */
import { setImmediate as nextTurn } from "node:timers/promises";
import { LogError } from "../../errors.ts";
import type { Compression, TopicPartition, WrittenRange } from "../../port.ts";
import type { BatchBuilder } from "../../records/batch-builder.ts";
import { encodeBatch } from "../../records/encode-batch.ts";
import type { RecordSet } from "../../records/record-set.ts";
import { NO_LEADER, type Cluster } from "../connection/cluster.ts";
import type { Connections } from "../connection/connections.ts";
import { delay } from "../connection/retry.ts";
import { CONCURRENT_TRANSACTIONS, CORRUPT_MESSAGE, isTransient, NONE, UNKNOWN_TOPIC_OR_PARTITION } from "../protocol-errors.ts";
import type { ProducerIdentity } from "../requests/init-producer-id.ts";
import { produce, produceError } from "./produce.ts";
import type { Sequences } from "./sequences.ts";
import { unwrittenBuilders } from "./written-batches.ts";

/** One request's batches together: encoding them is the longest synchronous slice here, and several are needed to fill this. */
const MAX_REQUEST_BYTES = 4 * 1024 * 1024;
/** All rounds of one write, retries included; an open transaction must not wait longer. */
const WRITE_TIMEOUT_MS = 30_000;
/** Kafka closes the connection at a request of over 100 MB (socket.request.max.bytes) without saying why. */
const MAX_BATCH_BYTES = 64 * 1024 * 1024;
/** A topic may be unknown for a moment after it was made. */
const UNKNOWN_TOPIC_GRACE_MS = 2_000;
const FIRST_BACKOFF_MS = 5;
const MAX_BACKOFF_MS = 500;

export interface RoundsContext {
  readonly cluster: Cluster;
  readonly connections: Connections;
  readonly transactionalId: string;
  readonly producer: ProducerIdentity;
  readonly sequences: Sequences;
  readonly compression: Compression;
  readonly stopped: () => boolean;
}

/** A partition's batches, written one after the other. */
interface Lane extends TopicPartition {
  readonly builder: BatchBuilder;
  baseOffset: number;
  nextOffset: number;
}

type LanesByLeader = ReadonlyMap<number, Lane[]>;

/** Rejects with the first error that a retry cannot cure; then some batches may have been written. Those that are have left the set. */
export async function writeInRounds(records: RecordSet, context: RoundsContext): Promise<WrittenRange[]> {
  const lanes = unwrittenBuilders(records).map((builder): Lane => {
    const { topic, partition } = builder;
    return { topic, partition, builder, baseOffset: -1, nextOffset: -1 };
  });
  for (const { topic, partition, builder } of lanes) {
    const tooLarge = builder.batches.find(({ byteLength }) => byteLength > MAX_BATCH_BYTES);
    if (tooLarge !== undefined)
      throw new LogError("record-too-large", `a record for ${topic}/${partition} is over ${MAX_BATCH_BYTES} bytes`, {
        partitions: [{ topic, partition }],
        refused: { bytes: tooLarge.byteLength, records: tooLarge.recordCount },
      });
  }
  const started = performance.now();
  let left = lanes;
  let backoffMs = FIRST_BACKOFF_MS;
  while (left.length > 0) {
    if (context.stopped()) throw new LogError("transaction-aborted", "the transaction was given up while it was written");
    const failures = await round(left, context);
    left = left.filter(({ builder }) => builder.batches.length > 0);
    if (failures.length === 0) {
      backoffMs = FIRST_BACKOFF_MS;
      continue;
    }
    const waitedMs = performance.now() - started;
    const unknown = failures.find(({ code }) => code === "unknown-topic");
    if (unknown !== undefined && waitedMs > UNKNOWN_TOPIC_GRACE_MS) throw unknown;
    if (waitedMs > WRITE_TIMEOUT_MS)
      throw new LogError("transaction-aborted", `writing took more than ${WRITE_TIMEOUT_MS} ms: ${failures[0].message}`, {
        cause: failures[0],
      });
    await delay(backoffMs);
    backoffMs = Math.min(backoffMs * 2, MAX_BACKOFF_MS);
  }
  return lanes.map(({ topic, partition, baseOffset, nextOffset }) => ({ topic, partition, baseOffset, nextOffset }));
}

/** One batch of each lane. Returns what failed for a passing reason. */
async function round(lanes: readonly Lane[], context: RoundsContext): Promise<LogError[]> {
  const failures: LogError[] = [];
  const byLeader = await groupByLeader(lanes, context.cluster, failures);
  await allDone([...byLeader].map(([leader, group]) => sendRequests(leader, group, context, failures)));
  if (failures.length > 0) context.cluster.forget(lanes.map(({ topic }) => topic));
  return failures;
}

async function groupByLeader(lanes: readonly Lane[], cluster: Cluster, failures: LogError[]): Promise<LanesByLeader> {
  const byLeader = new Map<number, Lane[]>();
  for (const lane of lanes) {
    let leader = cluster.cachedLeader(lane);
    try {
      leader ??= await cluster.leader(lane);
      if (leader === NO_LEADER)
        throw new LogError("unavailable", `${lane.topic}/${lane.partition} has no leader`, {
          partitions: [{ topic: lane.topic, partition: lane.partition }],
        });
    } catch (error) {
      if (!(error instanceof LogError) || (error.action !== "retriable" && error.code !== "unknown-topic")) throw error;
      failures.push(error);
      continue;
    }
    const group = byLeader.get(leader);
    if (group === undefined) byLeader.set(leader, [lane]);
    else group.push(lane);
  }
  return byLeader;
}

/** The lanes of one broker, in as many requests as the size bound asks for; one is encoded while the one before is on its way. */
async function sendRequests(leader: number, lanes: readonly Lane[], context: RoundsContext, failures: LogError[]): Promise<void> {
  const requests: Promise<void>[] = [];
  for (let from = 0; from < lanes.length;) {
    if (from > 0) await nextTurn();
    let bytes = 0;
    let to = from;
    while (to < lanes.length && (to === from || bytes + pendingBytes(lanes[to]) <= MAX_REQUEST_BYTES)) bytes += pendingBytes(lanes[to++]);
    requests.push(sendRequest(leader, lanes.slice(from, to), context, failures));
    from = to;
  }
  await allDone(requests);
}

/** Rejects with the first error, but only when all are done: until then their batches are in use. */
async function allDone(work: readonly Promise<void>[]): Promise<void> {
  for (const result of await Promise.allSettled(work)) if (result.status === "rejected") throw result.reason;
}

function pendingBytes({ builder }: Lane): number {
  return builder.batches[0].byteLength;
}

async function sendRequest(leader: number, lanes: readonly Lane[], context: RoundsContext, failures: LogError[]): Promise<void> {
  const { producer, sequences, compression, transactionalId } = context;
  const batches = lanes.map(({ topic, partition, builder }) => {
    const baseSequence = sequences.get(topic, partition);
    return {
      topic,
      partition,
      bytes: encodeBatch(builder.batches[0], { ...producer, baseSequence, transactional: true, compression }),
    };
  });
  const results = await produce(context.connections, leader, batches, transactionalId);
  for (const [index, result] of results.entries()) {
    const lane = lanes[index];
    if (result.kind === "unanswered") failures.push(result.error);
    else if (result.errorCode === NONE) written(lane, result.baseOffset, sequences);
    else {
      const sent = { bytes: batches[index].bytes.length, records: lane.builder.batches[0].recordCount };
      const error = produceError(result.errorCode, batches[index], sent);
      if (!mayPass(result.errorCode)) throw error;
      failures.push(error);
    }
  }
}

function written(lane: Lane, baseOffset: number, sequences: Sequences): void {
  const records = lane.builder.batches[0].recordCount;
  sequences.advance(lane.topic, lane.partition, records);
  if (lane.baseOffset < 0) lane.baseOffset = baseOffset;
  lane.nextOffset = baseOffset + records;
  lane.builder.batchWritten();
}

function mayPass(errorCode: number): boolean {
  return (
    isTransient(errorCode) ||
    errorCode === CONCURRENT_TRANSACTIONS ||
    errorCode === CORRUPT_MESSAGE ||
    errorCode === UNKNOWN_TOPIC_OR_PARTITION
  );
}
