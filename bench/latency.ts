/**
 * How long from a raw record until a read_committed reader has the normalized one, at a steady rate. A `sluice worker` of its own for
 * each commit interval; a real Kafka of its own, or that of KAFKA_BROKERS. As the peers' (`shared/peers/stream-job`, run.sh streams-latency):
 * event time is the clock when the record is built, 5 % are duplicates, the first seconds do not count, the second rate meets the same worker.
 *
 *     npm run bench:latency -- [--rates 5000,20000] [--commit-interval 100,20] [--seconds 25] [--warm-up 10] [--guarantee exactly-once]
 *         [--job peers]      what the peers do and no more (peer-job.ts), in place of the whole IoT job
 */
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import type { KafkaLog } from "../eventlog/kafka/kafka-log.ts";
import type { Cleanup } from "../test/support/cleanup.ts";
import type { Kafka } from "../test/support/kafka.ts";
import { spawnCli, type CliProcess } from "../test/support/spawn-cli.ts";
import { createJobTopics, partitionsOf } from "../test/support/telemetry.ts";
import { tempDir } from "../test/support/temp-dir.ts";
import { benchJob, benchKafka, KAFKA_CONDITIONS } from "./bench-kafka.ts";
import { conditions } from "./conditions.ts";
import { jobMain } from "./job-main.ts";
import { percentiles } from "./percentiles.ts";
import { countStolen, cpuSeconds, peakRssMiB } from "./process-usage.ts";
import { report } from "./report.ts";
import { SteadyLoad } from "./steady-load.ts";
import { withCleanup } from "./with-cleanup.ts";

const { values } = parseArgs({
  options: {
    rates: { type: "string", default: "5000,20000" },
    "commit-interval": { type: "string", default: "100,20" },
    seconds: { type: "string", default: "25" },
    "warm-up": { type: "string", default: "10" },
    guarantee: { type: "string", default: "exactly-once" },
    job: { type: "string", default: "iot" },
  },
});
const PARTITIONS = 4;
/** For what is still on its way when the load ends. */
const TAIL_MS = 2_000;

/** The record's time is its event's: latency needs no look into the value. */
class Probe {
  readonly #log: KafkaLog;
  readonly #topic: string;
  #latenciesMs: number[] = [];
  #isOver = false;
  #reading: Promise<void> | undefined;

  constructor(log: KafkaLog, topic: string) {
    this.#log = log;
    this.#topic = topic;
  }

  start(): void {
    this.#reading = this.#read();
  }

  /** What was read since the last call. */
  take(): number[] {
    const taken = this.#latenciesMs;
    this.#latenciesMs = [];
    return taken;
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#reading;
  }

  async #read(): Promise<void> {
    const reader = this.#log.reader({ isolation: "read_committed" });
    reader.assign(await this.#log.admin.listOffsets(await partitionsOf(this.#log, this.#topic), "latest", "read_committed"));
    while (!this.#isOver) {
      for (const { records } of await reader.poll(100)) {
        const now = Date.now();
        for (let i = 0; i < records.count; i++) this.#latenciesMs.push(now - records.timestamps[i]);
      }
    }
    await reader.close();
  }
}

async function measure(log: KafkaLog, kafka: Kafka, commitIntervalMs: number, t: Cleanup): Promise<void> {
  const { applicationId, topics } = benchJob(t, kafka);
  await createJobTopics(log, topics, PARTITIONS);
  const config = {
    applicationId,
    kafka: { brokers: kafka.bootstrap },
    topics,
    processing: { guarantee: values.guarantee, commitIntervalMs },
    state: { dir: tempDir(t, "latency-state") },
    http: { port: 0 },
  };
  const worker: CliProcess = await spawnCli(t, ["worker"], { config, main: jobMain(values.job) });
  await worker.waitForOutput(/"task restored"/);
  const probe = new Probe(log, topics.normalized);
  probe.start();
  const load = new SteadyLoad(log, topics.raw, PARTITIONS);
  for (const rate of values.rates.split(",").map(Number)) {
    await load.run(rate, Number(values["warm-up"]));
    probe.take();
    const [startedAt, cpuBefore, stolen] = [performance.now(), cpuSeconds(worker.pid), countStolen()];
    const { maxSendLagMs } = await load.run(rate, Number(values.seconds));
    const cores = (cpuSeconds(worker.pid) - cpuBefore) / ((performance.now() - startedAt) / 1_000);
    const stolenPercent = stolen();
    await delay(TAIL_MS);
    const latencies = probe.take();
    report.table({
      [`${rate}/s, commit every ${commitIntervalMs} ms`]: {
        records: latencies.length,
        ...percentiles(latencies, { p50: 0.5, p95: 0.95, p99: 0.99, max: 1 }),
        workerCores: Math.round(cores * 100) / 100,
        peakRssMiB: peakRssMiB(worker.pid),
        stolenPercent,
        maxSendLagMs,
      },
    });
  }
  await probe.stop();
  await worker.stop();
}

await withCleanup(async (cleanup) => {
  const { kafka, log } = await benchKafka(cleanup);
  report.log(conditions({ kafka: KAFKA_CONDITIONS, guarantee: values.guarantee, job: values.job }));
  for (const interval of values["commit-interval"].split(",")) await measure(log, kafka, Number(interval), cleanup);
});
