/** A worker over the embedded log that counts records per key; each output record tells the count it stands for. */
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { pino, type Logger } from "pino";
import { EmbeddedLog } from "../../../../eventlog/embedded/embedded-log.ts";
import type { EventLog } from "../../../../eventlog/port.ts";
import { RecordSet } from "../../../../eventlog/records/record-set.ts";
import { Worker } from "../../../../runtime/worker.ts";
import type { WorkerOptions } from "../../../../runtime/worker-options.ts";
import type { EngineName } from "../../../../state/engines/engine.ts";
import { serdes } from "../../../../state/serdes.ts";
import { keyValueStore, type KeyValueStore } from "../../../../state/store.ts";
import type { ProcessorContext, StreamRecord } from "../../../../topology/processor.ts";
import { StreamsBuilder } from "../../../../topology/streams-builder.ts";
import type { Topology } from "../../../../topology/topology.ts";
import { readTopic } from "../../../support/telemetry.ts";
import { tempDir } from "../../../support/temp-dir.ts";

export const PARTITIONS = 4;
const silent = pino({ level: process.env.TEST_LOG ?? "silent" });
interface Row {
  count: number;
  pad?: string;
}

export const totals = keyValueStore({ name: "totals", key: serdes.string, value: serdes.json<Row>() });

/** Counts records per key; each output is `key -> running count`, so a lost or doubled record shows. */
function countingTopology(source: string, sink: string, padding: number): Topology {
  class Counting {
    #store!: KeyValueStore<string, Row>;
    #context!: ProcessorContext<{ out: { key: string; value: number } }>;
    init(context: ProcessorContext<{ out: { key: string; value: number } }>): void {
      this.#context = context;
      this.#store = context.store(totals);
    }
    process(record: StreamRecord<string, string>): void {
      const row = this.#store.get(record.key) ?? { count: 0, pad: "x".repeat(padding) };
      row.count++;
      this.#store.put(record.key, row);
      this.#context.output("out").forward({ key: record.key, value: row.count, timestamp: record.timestamp });
    }
  }
  const builder = new StreamsBuilder();
  builder
    .stream(source, { key: serdes.string, value: serdes.string })
    .process<{ out: { key: string; value: number } }>({ name: "count", outputs: ["out"], stores: [totals], create: () => new Counting() })
    .out.to(sink, { key: serdes.string, value: serdes.json<number>() });
  return builder.build();
}

export interface Setup {
  readonly log: EventLog;
  readonly applicationId: string;
  /** The topic that is counted, with PARTITIONS partitions. */
  readonly source: string;
  readonly stateDir: string;
  worker(overrides?: Partial<WorkerOptions>): Worker;
  /** Writes `rounds` records for each of the keys k0..k(n-1). */
  feed(keys: number, rounds: number): Promise<void>;
  /** Every count of every key, sorted; undisturbed that is 1..n each once. */
  counts(): Promise<Map<string, number[]>>;
}

/**
 * @param padding characters beside each count in the state, to fill table files.
 * @param own a log of the caller's making, closed after the test, and what the names in it begin with. Default: an embedded one.
 */
export async function setUp(
  t: TestContext,
  {
    engine = "level",
    padding = 0,
    logger = silent,
    own,
  }: { engine?: EngineName; padding?: number; logger?: Logger; own?: { log: EventLog; prefix: string } } = {},
): Promise<Setup> {
  const log: EventLog = own?.log ?? (await EmbeddedLog.open({ dir: tempDir(t, "worker-log"), logger }));
  const workers: Worker[] = [];
  t.after(async () => {
    await Promise.all(workers.map((worker) => worker.stop()));
    await log.close();
  });
  const [applicationId, source, sink, dlq] = ["app", "in", "out", "dlq"].map((name) => `${own?.prefix ?? ""}${name}`);
  await log.admin.createTopics([source, sink, dlq].map((name) => ({ name, partitions: PARTITIONS, config: {} })));
  const stateDir = tempDir(t, "worker-state");
  return {
    log,
    applicationId,
    source,
    stateDir,
    worker(overrides = {}) {
      const worker = new Worker({
        applicationId,
        topology: countingTopology(source, sink, padding),
        log,
        state: { dir: stateDir, engine, cacheMiB: 4 },
        processing: { guarantee: "exactly-once", commitIntervalMs: 10 },
        sessionTimeoutMs: 5_000,
        deadLetterTopic: dlq,
        logger,
        ...overrides,
      });
      workers.push(worker);
      return worker;
    },
    async feed(keys, rounds) {
      const writer = log.plainWriter({});
      for (let round = 0; round < rounds; round++) {
        const set = new RecordSet(100_000);
        for (let key = 0; key < keys; key++) {
          const bytes = Buffer.from(`k${key}`);
          set.partition(source, key % PARTITIONS).append(round, bytes, 0, bytes.length, bytes, 0, bytes.length);
        }
        await writer.write(set);
      }
      await writer.close();
    },
    async counts() {
      const byKey = new Map<string, number[]>();
      for (const record of await readTopic(log, sink)) {
        const list = byKey.get(String(record.key)) ?? [];
        list.push(Number(String(record.value)));
        byKey.set(String(record.key), list);
      }
      return byKey;
    },
  };
}

/** Of a counter or gauge without labels. */
export async function metricOf(worker: Worker, name: string): Promise<number> {
  const text = await worker.registry.getSingleMetricAsString(name);
  return Number(new RegExp(`^${name} (\\d+)`, "m").exec(text)?.[1]);
}

export async function assertExact(setup: Setup, keys: number, rounds: number): Promise<void> {
  const counts = await setup.counts();
  assert.equal(counts.size, keys);
  const wanted = Array.from({ length: rounds }, (_, index) => index + 1);
  for (const [key, list] of counts) assert.deepEqual(list, wanted, `${key}: each count once and in order`);
}
