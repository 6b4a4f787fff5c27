/** Plumbing of tests over the whole job: topics of one's own, raw records straight into the log, outputs back out. */
import type { EventLog, PartitionOffset, TopicPartition, TopicSpec } from "../../eventlog/port.ts";
import { partitionForKey } from "../../eventlog/records/murmur2.ts";
import { RecordSet } from "../../eventlog/records/record-set.ts";
import { deviceKey } from "../../processors/formats/names.ts";
import { uniqueName } from "./unique-name.ts";
import { waitFor } from "./wait-for.ts";

export interface JobTopics {
  readonly raw: string;
  readonly normalized: string;
  readonly aggregates: string;
  readonly alerts: string;
  readonly dlq: string;
  readonly deviceState: string;
}

export interface LogRecord {
  readonly partition: number;
  readonly offset: number;
  readonly timestamp: number;
  readonly key: string | null;
  readonly value: Buffer | null;
  readonly headers: ReadonlyMap<string, string>;
}

export interface RawEvent {
  readonly tenant: string;
  readonly deviceId: string;
  readonly value: Buffer;
  /** Receive time, epoch ms. */
  readonly receivedTs: number;
}

export function jobTopics(prefix = uniqueName("job")): JobTopics {
  const name = (topic: string): string => `${prefix}.${topic}`;
  return {
    raw: name("raw"),
    normalized: name("normalized"),
    aggregates: name("aggregates"),
    alerts: name("alerts"),
    dlq: name("dlq"),
    deviceState: name("device-state"),
  };
}

/** Retention is off: test data carries old event times, and Kafka deletes by record time. */
export async function createJobTopics(log: EventLog, topics: JobTopics, partitions: number): Promise<void> {
  const specs = Object.entries(topics).map(([kind, name]): TopicSpec => ({
    name: String(name),
    partitions,
    config: kind === "deviceState" ? { "cleanup.policy": "compact" } : { "cleanup.policy": "delete", "retention.ms": "-1" },
  }));
  await log.admin.createTopics(specs);
}

/** Records per write: bounds memory, and keeps requests under the broker's limit. */
const RECORDS_PER_WRITE = 20_000;
/** As the peers' generator has it (Java's batch.size 128 KiB). */
const RAW_BATCH_BYTES = 131_072;

/** Writes events in order, as the ingress would have. Returns how many. */
export async function writeRaw(log: EventLog, topic: string, events: Iterable<RawEvent>): Promise<number> {
  const partitions = await log.partitionCount(topic);
  const writer = log.plainWriter({});
  let set = new RecordSet(RAW_BATCH_BYTES);
  let count = 0;
  for (const event of events) {
    const key = Buffer.from(deviceKey(event.tenant, event.deviceId));
    set
      .partition(topic, partitionForKey(key, 0, key.length, partitions))
      .append(event.receivedTs, key, 0, key.length, event.value, 0, event.value.length);
    if (++count % RECORDS_PER_WRITE !== 0) continue;
    await writer.write(set);
    set = new RecordSet(RAW_BATCH_BYTES);
  }
  if (set.recordCount > 0) await writer.write(set);
  await writer.close();
  return count;
}

export async function partitionsOf(log: EventLog, topic: string): Promise<TopicPartition[]> {
  return Array.from({ length: await log.partitionCount(topic) }, (_, partition) => ({ topic, partition }));
}

/** Everything committed in a topic now, by partition and offset. */
export async function readTopic(log: EventLog, topic: string): Promise<LogRecord[]> {
  const partitions = await partitionsOf(log, topic);
  const ends = await log.admin.listOffsets(partitions, "latest", "read_committed");
  const positions = new Map(
    (await log.admin.listOffsets(partitions, "earliest", "read_committed")).map((entry) => [entry.partition, entry.offset]),
  );
  const reader = log.reader({ isolation: "read_committed" });
  const records: LogRecord[] = [];
  reader.assign([...positions].map(([partition, offset]) => ({ topic, partition, offset })));
  const deadline = Date.now() + 120_000;
  while (ends.some((end) => (positions.get(end.partition) ?? 0) < end.offset)) {
    if (Date.now() > deadline) throw new Error(`reading ${topic} took over two minutes`);
    for (const batch of await reader.poll(1_000)) {
      positions.set(batch.partition, batch.nextOffset);
      for (let i = 0; i < batch.records.count; i++) {
        const value = batch.records.value(i);
        records.push({
          partition: batch.partition,
          offset: batch.records.offsets[i],
          timestamp: batch.records.timestamps[i],
          key: batch.records.key(i)?.toString() ?? null,
          value: value === null ? null : Buffer.from(value),
          headers: new Map(batch.records.headers(i).map((header) => [header.key, String(header.value)])),
        });
      }
    }
  }
  await reader.close();
  return records.sort((a, b) => a.partition - b.partition || a.offset - b.offset);
}

export function parseAll<T>(records: readonly LogRecord[]): T[] {
  return records.map((record) => JSON.parse(String(record.value)) as T);
}

/** Sum over partitions of the group's committed offsets; 0 where there is none. */
export async function committedSum(log: EventLog, groupId: string, topic: string): Promise<number> {
  const offsets = await log.admin.groupOffsets(groupId, await partitionsOf(log, topic));
  return offsets.reduce((sum, entry) => sum + Math.max(0, entry.offset), 0);
}

/** Waits until the group has committed the topic to its end. */
export async function waitUntilDrained(log: EventLog, groupId: string, topic: string, deadlineMs = 120_000): Promise<void> {
  const partitions = await partitionsOf(log, topic);
  await waitFor(
    `group ${groupId} has read ${topic} to its end`,
    async () => {
      const ends = await log.admin.listOffsets(partitions, "latest", "read_committed");
      const committed: readonly PartitionOffset[] = await log.admin.groupOffsets(groupId, partitions);
      return ends.every(
        (end) => end.offset === 0 || committed.some((entry) => entry.partition === end.partition && entry.offset >= end.offset),
      );
    },
    { deadlineMs, intervalMs: 50 },
  );
}
