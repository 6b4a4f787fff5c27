/**
 * Whether a worker's memory stays flat: a steady rate for minutes, what it takes every so often. One worker process; a real Kafka of its
 * own, which keeps the newest of the topics only, or that of KAFKA_BROKERS. Prints a line each time, then a table or, with --json, one JSON
 * line. "growth" is the slope of RSS over the second half (least squares), MiB a minute. Takes --minutes and half a minute more.
 *
 *     npm run bench:steady -- [--rate 50000] [--minutes 10] [--every 30] [--job iot] [--guarantee exactly-once] [--json]
 *         [--job peers]      what the peers do and no more (peer-job.ts), in place of the whole IoT job
 */
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import type { KafkaLog } from "../eventlog/kafka/kafka-log.ts";
import type { Cleanup } from "../test/support/cleanup.ts";
import { spawnCli } from "../test/support/spawn-cli.ts";
import { committedSum, createJobTopics } from "../test/support/telemetry.ts";
import { tempDir } from "../test/support/temp-dir.ts";
import { waitFor } from "../test/support/wait-for.ts";
import { benchJob, benchKafka, KAFKA_CONDITIONS } from "./bench-kafka.ts";
import { conditions } from "./conditions.ts";
import { jobMain } from "./job-main.ts";
import { cpuSeconds, peakRssMiB, residentMemory, type ResidentMemory } from "./process-usage.ts";
import { report } from "./report.ts";
import { SteadyLoad } from "./steady-load.ts";
import { withCleanup } from "./with-cleanup.ts";

const { values } = parseArgs({
  options: {
    rate: { type: "string", default: "50000" },
    minutes: { type: "string", default: "10" },
    every: { type: "string", default: "30" },
    job: { type: "string", default: "iot" },
    guarantee: { type: "string", default: "exactly-once" },
    json: { type: "boolean", default: false },
  },
});
const PARTITIONS = 4;
/** Ten minutes at 50,000/s would be 12 GB of raw and normalized records. A partition keeps so much. */
const KEPT_LOG = { "log.retention.bytes": String(256 << 20), "log.segment.bytes": String(64 << 20) };

interface Sample extends ResidentMemory {
  readonly seconds: number;
  /** Raw events sent and not committed yet. */
  readonly behind: number;
  /** Cores that the worker used since the sample before. */
  readonly cores: number;
}

await withCleanup(main);

async function main(cleanup: Cleanup): Promise<void> {
  const [rate, seconds] = [Number(values.rate), Number(values.minutes) * 60];
  const own = { shippedJvm: true, config: KEPT_LOG };
  const { kafka, log } = await benchKafka(cleanup, process.env.KAFKA_BROKERS === undefined ? own : undefined);
  const { applicationId, topics } = benchJob(cleanup, kafka);
  await createJobTopics(log, topics, PARTITIONS);
  const worker = await spawnCli(cleanup, ["worker"], {
    config: {
      applicationId,
      kafka: { brokers: kafka.bootstrap },
      topics,
      processing: { guarantee: values.guarantee },
      state: { dir: tempDir(cleanup, "steady-state") },
      http: { port: 0 },
    },
    main: jobMain(values.job),
  });
  const load = new SteadyLoad(log, topics.raw, PARTITIONS);
  await load.run(1, 1);
  await waitFor("the worker commits", async () => (await committedSum(log, applicationId, topics.raw)) > 0, { deadlineMs: 60_000 });

  const over = new AbortController();
  const sampling = sample(worker.pid, log, load, { applicationId, raw: topics.raw, ended: over.signal });
  await load.run(rate, seconds);
  over.abort();
  const samples = await sampling;
  const figures = {
    events: load.sent,
    growthMiBPerMinute: Math.round(slope(samples.slice(Math.floor(samples.length / 2))) * 60 * 10) / 10,
    peakRssMiB: peakRssMiB(worker.pid),
  };
  await worker.stop();
  const where = conditions({ kafka: KAFKA_CONDITIONS, ...values });
  if (values.json) process.stdout.write(`${JSON.stringify({ conditions: where, samples, ...figures })}\n`);
  else {
    report.log(where);
    report.table(samples);
    report.log(figures);
  }
}

/** Until `ended`, and once more then. */
async function sample(
  pid: number,
  log: KafkaLog,
  load: SteadyLoad,
  { applicationId, raw, ended }: { readonly applicationId: string; readonly raw: string; readonly ended: AbortSignal },
): Promise<Sample[]> {
  const samples: Sample[] = [];
  const startedAt = performance.now();
  let [lastAt, lastCpu] = [startedAt, cpuSeconds(pid)];
  for (;;) {
    await delay(Number(values.every) * 1_000, undefined, { signal: ended }).catch(() => undefined); // aborted: the load is over
    const [now, cpu] = [performance.now(), cpuSeconds(pid)];
    const one = {
      seconds: Math.round((now - startedAt) / 1_000),
      ...residentMemory(pid),
      behind: load.sent - (await committedSum(log, applicationId, raw)),
      cores: Math.round(((cpu - lastCpu) / ((now - lastAt) / 1_000)) * 100) / 100,
    };
    [lastAt, lastCpu] = [now, cpu];
    process.stderr.write(`${JSON.stringify(one)}\n`);
    samples.push(one);
    if (ended.aborted) return samples;
  }
}

/** Of RSS over time, MiB a second, by least squares. */
function slope(samples: readonly Sample[]): number {
  const mean = (of: (one: Sample) => number): number => samples.reduce((sum, one) => sum + of(one), 0) / samples.length;
  const [at, rss] = [mean(({ seconds }) => seconds), mean(({ rssMiB }) => rssMiB)];
  return mean(({ seconds, rssMiB }) => (seconds - at) * (rssMiB - rss)) / mean(({ seconds }) => (seconds - at) ** 2);
}
