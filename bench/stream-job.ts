/**
 * The stream job on a real Kafka: drain a backlog, restart after kill -9, restore from nothing. One worker process, as
 * users run it (`sluice worker`); a broker of its own, or that of KAFKA_BROKERS. Prints a table and, with --json, one JSON line.
 *
 *     npm run bench:stream -- [--devices 10000] [--samples 100] [--partitions 4] [--guarantee exactly-once] [--commit-interval 100] [--json]
 *         [--job peers]      what the peers do and no more (peer-job.ts), in place of the whole IoT job
 *         [--drain-only]     ends after the drain, unchecked: to compare two states of the code by turns
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { KafkaLog } from "../eventlog/kafka/kafka-log.ts";
import type { AggregateRecord, NormalizedRecord } from "../processors/formats/records.ts";
import type { Cleanup } from "../test/support/cleanup.ts";
import { spawnCli, type CliProcess } from "../test/support/spawn-cli.ts";
import { committedSum, createJobTopics, readTopic, writeRaw } from "../test/support/telemetry.ts";
import { tempDir } from "../test/support/temp-dir.ts";
import { waitFor } from "../test/support/wait-for.ts";
import { benchJob, benchKafka, KAFKA_CONDITIONS } from "./bench-kafka.ts";
import { conditions } from "./conditions.ts";
import { jobMain } from "./job-main.ts";
import { report } from "./report.ts";
import { countStolen, cpuSeconds, peakRssMiB } from "./process-usage.ts";
import { recentBaseMs, streamData } from "./stream-data.ts";
import { withCleanup } from "./with-cleanup.ts";

const { values } = parseArgs({
  options: {
    devices: { type: "string", default: "10000" },
    samples: { type: "string", default: "100" },
    partitions: { type: "string", default: "4" },
    guarantee: { type: "string", default: "exactly-once" },
    "commit-interval": { type: "string", default: "100" },
    job: { type: "string", default: "iot" },
    "drain-only": { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  },
});
const POLL_MS = 20;

await withCleanup(main);

async function main(cleanup: Cleanup): Promise<void> {
  const { kafka, log } = await benchKafka(cleanup);
  const { applicationId, topics } = benchJob(cleanup, kafka);
  await createJobTopics(log, topics, Number(values.partitions));
  const data = streamData(Number(values.devices), Number(values.samples), recentBaseMs());
  process.stderr.write(`writing ${data.total} raw events...\n`);
  await writeRaw(log, topics.raw, data.events());

  const stateDir = tempDir(cleanup, "bench-state");
  const config = {
    applicationId,
    instanceId: "bench-1",
    kafka: { brokers: kafka.bootstrap },
    topics,
    processing: { guarantee: values.guarantee, commitIntervalMs: Number(values["commit-interval"]) },
    state: { dir: stateDir },
    http: { port: 0 },
  };
  const start = (): Promise<CliProcess> => spawnCli(cleanup, ["worker"], { config, main: jobMain(values.job) });
  const brokerPid = kafka.pids.at(0);

  process.stderr.write("draining...\n");
  const drain = await drainBacklog(await start(), log, applicationId, topics.raw, data.total, brokerPid);
  if (values["drain-only"]) {
    await drain.worker.kill("SIGKILL");
    if (values.json) process.stdout.write(`${JSON.stringify(drain.figures)}\n`);
    else report.table({ [`${values.guarantee}`]: drain.figures });
    return;
  }
  process.stderr.write("checking...\n");
  const exact = await check(log, topics.normalized, topics.aggregates, data.distinct);

  process.stderr.write("kill -9 and restart...\n");
  await drain.worker.kill("SIGKILL");
  const restart = await restartTime(await start());
  process.stderr.write("restore from nothing...\n");
  await restart.worker.stop();
  rmSync(join(stateDir, applicationId), { recursive: true, force: true });
  const restore = await restoreRate(await start());
  await restore.worker.stop();

  const result = {
    job: {
      job: values.job,
      devices: Number(values.devices),
      events: data.total,
      partitions: Number(values.partitions),
      guarantee: values.guarantee,
      commitIntervalMs: Number(values["commit-interval"]),
    },
    conditions: conditions({ kafka: KAFKA_CONDITIONS }),
    drain: drain.figures,
    exact,
    restartAfterKill: restart.figures,
    restore: restore.figures,
  };
  if (values.json) process.stdout.write(`${JSON.stringify(result)}\n`);
  else {
    report.log(result.conditions);
    report.table({ [`${values.guarantee}`]: drain.figures });
    report.log({ exact, restartAfterKill: restart.figures, restore: restore.figures });
  }
}

/** From the first commit seen to the last, so that process start and JIT warm-up before it don't count, and its records don't either. */
async function drainBacklog(worker: CliProcess, log: KafkaLog, group: string, raw: string, total: number, brokerPid: number | undefined) {
  const until = (what: string, wanted: (sum: number) => boolean) =>
    waitFor(
      what,
      async () => {
        const sum = await committedSum(log, group, raw);
        return wanted(sum) ? { sum } : false;
      },
      { deadlineMs: 600_000, intervalMs: POLL_MS },
    );
  /** NaN for a broker that KAFKA_BROKERS names. */
  const brokerCpu = (): number => (brokerPid === undefined ? NaN : cpuSeconds(brokerPid));
  const first = await until("the first commit", (sum) => sum > 0);
  const [startedAt, cpuBefore, brokerBefore, stolen] = [performance.now(), cpuSeconds(worker.pid), brokerCpu(), countStolen()];
  await until("the backlog is drained", (sum) => sum >= total);
  const wallS = (performance.now() - startedAt) / 1000;
  const cpuS = cpuSeconds(worker.pid) - cpuBefore;
  const events = total - first.sum;
  return {
    worker,
    figures: {
      events,
      wallS: round(wallS),
      eventsPerSecond: Math.round(events / wallS),
      workerCpuS: round(cpuS),
      eventsPerCpuSecond: Math.round(events / cpuS),
      wholeProcessEventsPerCpuSecond: Math.round(total / cpuSeconds(worker.pid)),
      brokerCpuS: round(brokerCpu() - brokerBefore),
      peakRssMiB: peakRssMiB(worker.pid),
      stolenPercent: stolen(),
    },
  };
}

async function check(log: KafkaLog, normalizedTopic: string, aggregatesTopic: string, distinct: number) {
  const normalized = await readTopic(log, normalizedTopic);
  const ids = new Set<string>();
  for (const record of normalized) {
    const { deviceId, seq } = JSON.parse(String(record.value)) as NormalizedRecord;
    ids.add(`${deviceId}/${String(seq)}`);
  }
  const aggregates = await readTopic(log, aggregatesTopic);
  const windows = new Set<string>();
  let counted = 0;
  for (const record of aggregates) {
    const { deviceId, window, metrics } = JSON.parse(String(record.value)) as AggregateRecord;
    windows.add(`${deviceId}/${window.start}`);
    counted += metrics.temperature_c.count;
  }
  return {
    normalizedExact: normalized.length === distinct && ids.size === distinct,
    normalized: normalized.length,
    windowsOnce: windows.size === aggregates.length,
    closedWindows: aggregates.length,
    eventsInClosedWindows: counted,
  };
}

/** `task restored` lines of the worker's log, and the time from spawn to the last of them. */
async function restoredLines(worker: CliProcess, partitions: number): Promise<{ restored: number; ms: number }[]> {
  return waitFor(
    "every task is restored",
    () => {
      const lines = (worker.stdout() + worker.stderr()).split("\n").filter((line) => line.includes('"task restored"'));
      return lines.length >= partitions ? lines.map((line) => JSON.parse(line) as { restored: number; ms: number }) : false;
    },
    { deadlineMs: 300_000, intervalMs: 5 },
  );
}

async function restartTime(worker: CliProcess) {
  const startedAt = performance.now();
  const lines = await restoredLines(worker, Number(values.partitions));
  return {
    worker,
    figures: {
      msToRunning: Math.round(performance.now() - startedAt),
      replayedRecords: lines.reduce((sum, line) => sum + line.restored, 0),
    },
  };
}

async function restoreRate(worker: CliProcess) {
  const startedAt = performance.now();
  const lines = await restoredLines(worker, Number(values.partitions));
  const records = lines.reduce((sum, line) => sum + line.restored, 0);
  const ms = Math.max(...lines.map((line) => line.ms));
  return {
    worker,
    figures: { records, ms, recordsPerSecond: Math.round(records / (ms / 1000)), msToRunning: Math.round(performance.now() - startedAt) },
  };
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
