/** Plumbing of the Kafka driver's integration tests. */
import type { TestContext } from "node:test";
import { pino } from "pino";
import { KafkaLog } from "../../../eventlog/kafka/kafka-log.ts";
import type { EventLog, IsolationLevel, LogReader, PartitionOffset, PlainWriter, TxnWriter } from "../../../eventlog/port.ts";
import { RecordSet } from "../../../eventlog/records/record-set.ts";
import { uniqueName } from "../../support/unique-name.ts";
import { waitFor } from "../../support/wait-for.ts";

export const silent = pino({ level: process.env.SLUICE_TEST_LOG ?? "silent" });

/** A broker that has just come back writes markers only when it has found itself as their partitions' leader. */
const MARKERS_WITHIN_MS = 40_000;

/**
 * A log whose commit() and abort() only return when the transaction's markers are written. Kafka answers before that, so that a
 * look at the last stable offset right after a commit may still miss it.
 */
class SettledLog extends KafkaLog {
  override txnWriter(options: Parameters<KafkaLog["txnWriter"]>[0]): TxnWriter {
    const writer = super.txnWriter(options);
    const id = options.transactionalId;
    const [commit, abort] = [writer.commit.bind(writer), writer.abort.bind(writer)];
    const settled = (end: () => Promise<void>) => async (): Promise<void> => {
      await end();
      await waitFor("the transaction's markers", async () => !(await this.admin.openTransactions(id)).includes(id), {
        deadlineMs: MARKERS_WITHIN_MS,
      });
    };
    return Object.assign(writer, { commit: settled(commit), abort: settled(abort) });
  }
}

export function openLog(t: TestContext, brokers: readonly string[]): KafkaLog {
  const log = new SettledLog({ brokers, clientId: "sluice-test", logger: silent });
  t.after(() => log.close());
  return log;
}

/** As often replicated as the brokers' default has it. */
export async function makeTopic(log: EventLog, partitions: number, config: Readonly<Record<string, string>> = {}): Promise<string> {
  const name = uniqueName("log");
  await log.admin.createTopics([{ name, partitions, config }]);
  return name;
}

export interface TestRecord {
  readonly partition: number;
  readonly key?: string | Buffer | null;
  readonly value: string | Buffer | null;
}

export function recordSet(topic: string, records: readonly TestRecord[], maxBatchBytes = 900_000): RecordSet {
  const set = new RecordSet(maxBatchBytes);
  for (const { partition, key, value } of records) {
    const keyBytes = key === undefined || key === null ? null : Buffer.from(key);
    const valueBytes = value === null ? null : Buffer.from(value);
    set.partition(topic, partition).append(Date.now(), keyBytes, 0, keyBytes?.length ?? 0, valueBytes, 0, valueBytes?.length ?? 0);
  }
  return set;
}

/** One record through a plain writer; resolves with its error, or undefined when it is durable. */
export function sendText(writer: PlainWriter, topic: string, partition: number, text: string): Promise<Error | undefined> {
  return new Promise((resolve) => writer.send({ topic, partition }, null, Buffer.from(text), undefined, Date.now(), resolve));
}

export interface ReadRecord {
  readonly partition: number;
  readonly offset: number;
  readonly key: string | null;
  readonly value: string | null;
}

/** Reads on until `done` says so; `positions` has the next offset by partition. */
export async function readUntil(
  reader: LogReader,
  done: (records: readonly ReadRecord[], positions: ReadonlyMap<number, number>) => boolean,
  deadlineMs = 20_000,
): Promise<{ records: ReadRecord[]; positions: Map<number, number> }> {
  const records: ReadRecord[] = [];
  const positions = new Map<number, number>();
  await waitFor(
    "everything is read",
    async () => {
      for (const batch of await reader.poll(200)) {
        for (let i = 0; i < batch.records.count; i++) {
          const key = batch.records.key(i)?.toString() ?? null;
          const value = batch.records.value(i)?.toString() ?? null;
          records.push({ partition: batch.partition, offset: batch.records.offsets[i], key, value });
        }
        positions.set(batch.partition, batch.nextOffset);
      }
      return done(records, positions);
    },
    { deadlineMs, intervalMs: 0 },
  );
  return { records, positions };
}

/** Everything from the beginning to the end that `isolation` sees now. */
export async function readAll(
  t: TestContext,
  log: EventLog,
  topic: string,
  isolation: IsolationLevel = "read_committed",
): Promise<ReadRecord[]> {
  const count = await log.partitionCount(topic);
  const partitions = Array.from({ length: count }, (_, partition) => ({ topic, partition }));
  const from = await log.admin.listOffsets(partitions, "earliest", isolation);
  const to = await log.admin.listOffsets(partitions, "latest", isolation);
  const reader = log.reader({ isolation });
  t.after(() => reader.close());
  reader.assign(from);
  const reached = (positions: ReadonlyMap<number, number>, end: PartitionOffset): boolean =>
    (positions.get(end.partition) ?? from[end.partition].offset) >= end.offset;
  const { records } = await readUntil(reader, (_, positions) => to.every((end) => reached(positions, end)));
  return records;
}
