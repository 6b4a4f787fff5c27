/**
 * Memory of one `sluice worker` that drains a backlog, against its ceiling. A broker of its own; each ceiling drains the same records
 * with an application, topics and state of its own. Prints a table and, with --json, one JSON line; with --timeline, what held memory
 * every 250 ms. Exit code 1 when a peak is over its ceiling or a record is missing.
 *
 *     npm run bench:memory -- [--memory-mib 512,400] [--cache-mib 16] [--devices 20000] [--samples 60] [--partitions 4]
 *                             [--slow-kib 0] [--engine level] [--timeline] [--json]
 *
 * --slow-kib: the worker's requests reach the broker at so many KiB/s and connection, answers come at once.
 */
import { parseArgs } from "node:util";
import type { KafkaLog } from "../eventlog/kafka/kafka-log.ts";
import type { Cleanup } from "../test/support/cleanup.ts";
import type { Kafka } from "../test/support/kafka.ts";
import { spawnCli } from "../test/support/spawn-cli.ts";
import { committedSum, createJobTopics, jobTopics, partitionsOf, writeRaw } from "../test/support/telemetry.ts";
import { tempDir } from "../test/support/temp-dir.ts";
import { uniqueName } from "../test/support/unique-name.ts";
import { benchKafka } from "./bench-kafka.ts";
import { conditions } from "./conditions.ts";
import { MemorySamples } from "./memory-samples.ts";
import { cpuSeconds } from "./process-usage.ts";
import { report } from "./report.ts";
import { recentBaseMs, streamData, type StreamData } from "./stream-data.ts";
import { withCleanup } from "./with-cleanup.ts";

const { values } = parseArgs({
  options: {
    "memory-mib": { type: "string", default: "512,400" },
    "cache-mib": { type: "string", default: "16" },
    devices: { type: "string", default: "20000" },
    samples: { type: "string", default: "60" },
    partitions: { type: "string", default: "4" },
    "slow-kib": { type: "string", default: "0" },
    engine: { type: "string", default: "level" },
    timeline: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  },
});
const SAMPLE_EVERY_MS = 50;
const SAMPLES_PER_LINE = 5;
/** Pause between two pieces of a slow connection. */
const PIECE_EVERY_MS = 10;
const DEADLINE_MS = 600_000;

await withCleanup(main);

async function main(cleanup: Cleanup): Promise<void> {
  const slowBytes = Number(values["slow-kib"]) * 1024;
  const { kafka, log } = await benchKafka(cleanup, { heapMiB: 1024, proxied: slowBytes > 0 });
  const raw = jobTopics().raw;
  await log.admin.createTopics([{ name: raw, partitions: Number(values.partitions), config: { "retention.ms": "-1" } }]);
  const data = streamData(Number(values.devices), Number(values.samples), recentBaseMs());
  process.stderr.write(`writing ${data.total} raw events...\n`);
  await writeRaw(log, raw, data.events());
  if (slowBytes > 0) kafka.proxies[0].shape("up", { pieceBytes: (slowBytes * PIECE_EVERY_MS) / 1000, pieceEveryMs: PIECE_EVERY_MS });

  const rows: Record<string, Awaited<ReturnType<typeof drain>>> = {};
  for (const memoryMiB of values["memory-mib"].split(",").map(Number)) {
    process.stderr.write(`draining under ${memoryMiB} MiB...\n`);
    rows[`${memoryMiB} MiB`] = await drain(cleanup, kafka, log, raw, data, memoryMiB);
  }
  const where = conditions({ kafka: "4.3.1, one broker, same machine, -Xmx1024m", ...values });
  if (values.json) process.stdout.write(`${JSON.stringify({ conditions: where, rows })}\n`);
  else {
    report.log(where);
    report.table(rows);
  }
  if (Object.values(rows).some(({ ok }) => !ok)) process.exitCode = 1;
}

async function drain(cleanup: Cleanup, kafka: Kafka, log: KafkaLog, raw: string, { total, distinct }: StreamData, memoryMiB: number) {
  const topics = { ...jobTopics(), raw };
  await createJobTopics(log, topics, Number(values.partitions));
  const applicationId = uniqueName("memory");
  const worker = await spawnCli(cleanup, ["worker"], {
    config: {
      applicationId,
      kafka: { brokers: values["slow-kib"] === "0" ? kafka.bootstrap : [kafka.proxies[0].address] },
      topics,
      processing: { memoryMiB },
      state: { dir: tempDir(cleanup, "memory"), engine: values.engine, cacheMiB: Number(values["cache-mib"]) },
      http: { port: 0 },
    },
  });
  const [, url] = await worker.waitForOutput(/"url":"([^"]+)"/);
  const samples = new MemorySamples(worker.pid, url);
  const startedAt = performance.now();
  let done = 0;
  for (let n = 0; done < total; n++) {
    if (!worker.running()) throw new Error(`the worker ended: ${worker.stdout().slice(-2_000)}${worker.stderr().slice(-2_000)}`);
    if (performance.now() - startedAt > DEADLINE_MS) throw new Error(`${done} of ${total} after ${DEADLINE_MS} ms`);
    samples.take();
    if (n % SAMPLES_PER_LINE === 0) {
      done = await committedSum(log, applicationId, raw);
      if (values.timeline) report.log(`${Math.round(performance.now() - startedAt)} ms ${done} ${await samples.line()}`);
    }
    await new Promise((resolve) => setTimeout(resolve, SAMPLE_EVERY_MS));
  }
  const seconds = (performance.now() - startedAt) / 1000;
  const peak = samples.peak();
  const cpuS = cpuSeconds(worker.pid);
  const gc = await samples.gcSeconds();
  await worker.stop();
  const ends = await log.admin.listOffsets(await partitionsOf(log, topics.normalized), "latest", "read_committed");
  const normalized = ends.reduce((sum, { offset }) => sum + offset, 0);
  return {
    ...peak,
    eventsPerSecond: Math.round(total / seconds),
    ...gc,
    cpuS: Math.round(cpuS * 10) / 10,
    // control records take offsets too
    normalizedAtLeast: distinct,
    normalizedOffsets: normalized,
    ok: peak.rssMiB < memoryMiB && normalized >= distinct,
  };
}
