/**
 * A worker's memory stays under `processing.memoryMiB`, whatever comes: each test is one way to fill it, on a real Kafka, and reads the
 * peak of the whole process. What holds memory is in docs/operations.md, "Where a worker's memory goes".
 */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { pino } from "pino";
import { peakRssMiB } from "../../bench/process-usage.ts";
import { KafkaLog } from "../../eventlog/kafka/kafka-log.ts";
import type { Compression } from "../../eventlog/port.ts";
import { RecordSet } from "../../eventlog/records/record-set.ts";
import { deviceKey } from "../../processors/formats/names.ts";
import type { Kafka } from "../support/kafka.ts";
import { need } from "../support/need.ts";
import { sharedKafka } from "../support/shared-kafka.ts";
import { spawnCli, type CliProcess } from "../support/spawn-cli.ts";
import { createJobTopics, jobTopics, partitionsOf, waitUntilDrained, type JobTopics } from "../support/telemetry.ts";
import { tempDir } from "../support/temp-dir.ts";
import { uniqueName } from "../support/unique-name.ts";

const skip = (await need("kafka")) || (process.platform !== "linux" && "memory is read from /proc");
const MEMORY_MIB = 512;
const CACHE_MIB = 16;
/** 200,000 records of this test are 25 MB. */
const MAX_MESSAGE_BYTES = 40_000_000;
const START_TS = Date.now() - 3_600_000;

interface Batches {
  readonly batches: number;
  readonly recordsPerBatch: number;
  readonly devices: number;
  /** Of a value; filled up with an attribute field that validation refuses when it is long. */
  readonly padBytes?: number;
  readonly compression?: Compression;
  readonly maxBatchBytes?: number;
}

interface Job {
  readonly log: KafkaLog;
  readonly topics: JobTopics;
  readonly applicationId: string;
  start(): Promise<CliProcess>;
}

async function newJob(t: TestContext, kafka: Kafka, partitions: number, maxMessageBytes?: number): Promise<Job> {
  const log = new KafkaLog({ brokers: kafka.bootstrap, clientId: "memory", logger: pino({ level: "silent" }) });
  t.after(() => log.close());
  const topics = jobTopics();
  if (maxMessageBytes !== undefined)
    await log.admin.createTopics([{ name: topics.raw, partitions, config: { "max.message.bytes": String(maxMessageBytes) } }]);
  await createJobTopics(log, topics, partitions);
  const applicationId = uniqueName("memory");
  const start = (): Promise<CliProcess> =>
    spawnCli(t, ["worker"], {
      config: {
        applicationId,
        kafka: { brokers: kafka.bootstrap },
        topics,
        processing: { memoryMiB: MEMORY_MIB },
        state: { dir: tempDir(t, "memory"), cacheMiB: CACHE_MIB },
        http: { port: 0 },
        log: { level: "info" },
      },
    });
  return { log, topics, applicationId, start };
}

/** Batch `n` goes to partition `n` modulo their number. */
async function write({ log, topics }: Job, options: Batches): Promise<number> {
  const partitions = (await partitionsOf(log, topics.raw)).length;
  const writer = log.plainWriter({ compression: options.compression ?? "none" });
  const pad = "x".repeat(options.padBytes ?? 0);
  let seq = 0;
  for (let batch = 0; batch < options.batches; batch++) {
    const set = new RecordSet(options.maxBatchBytes ?? 1_000_000);
    for (let n = 0; n < options.recordsPerBatch; n++, seq++) {
      const deviceId = `d${seq % options.devices}`;
      const key = Buffer.from(deviceKey("demo", deviceId));
      const ts = START_TS + seq;
      const value = Buffer.from(
        `{"deviceId":"${deviceId}","bootId":"b","seq":${seq},"ts":${ts},"tempC":${20 + (seq % 7)},"note":"${pad}"}`,
      );
      set.partition(topics.raw, batch % partitions).append(ts, key, 0, key.length, value, 0, value.length);
    }
    await writer.write(set);
  }
  await writer.close();
  return seq;
}

function assertUnderCeiling(t: TestContext, worker: CliProcess): void {
  const peak = peakRssMiB(worker.pid);
  t.diagnostic(`peak ${peak} MiB of ${MEMORY_MIB}`);
  assert.ok(peak < MEMORY_MIB, `peak of ${peak} MiB, and ${MEMORY_MIB} are allowed`);
}

async function drained(t: TestContext, job: Job, worker: CliProcess): Promise<void> {
  await Promise.race([
    waitUntilDrained(job.log, job.applicationId, job.topics.raw),
    worker.exited.then(() => Promise.reject(new Error(worker.stderr().slice(-4_000)))),
  ]);
  assertUnderCeiling(t, worker);
}

test("batches of 200,000 records, compressed: memory stays under the ceiling", { skip, timeout: 120_000 }, async (t) => {
  const job = await newJob(t, await sharedKafka(), 1, MAX_MESSAGE_BYTES);
  await write(job, { batches: 2, recordsPerBatch: 200_000, devices: 1_000, compression: "zstd", maxBatchBytes: MAX_MESSAGE_BYTES });
  await drained(t, job, await job.start());
});

test("records of 1 MB: memory stays under the ceiling", { skip, timeout: 120_000 }, async (t) => {
  const job = await newJob(t, await sharedKafka(), 4);
  await write(job, { batches: 150, recordsPerBatch: 1, devices: 10, padBytes: 999_000 });
  await drained(t, job, await job.start());
});
