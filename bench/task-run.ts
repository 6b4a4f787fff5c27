/** The IoT job's tasks over a backlog, without a log: raw batches in, encoded batches out, a commit after so many events. */
import { BatchBuilder } from "../eventlog/records/batch-builder.ts";
import { encodeBatch } from "../eventlog/records/encode-batch.ts";
import { deviceKey } from "../processors/formats/names.ts";
import { jobSettingsSchema } from "../processors/settings.ts";
import { buildTelemetryTopology } from "../processors/telemetry-topology.ts";
import { OutputCollector } from "../runtime/output-collector.ts";
import type { Task } from "../runtime/task.ts";
import { memoryTask, processBatches } from "./bench-task.ts";
import { peerTopology } from "./peer-topology.ts";
import type { StreamData } from "./stream-data.ts";

const RECORDS_PER_BATCH = 5_000;
const CACHE_BYTES = 64 << 20;

export interface TaskRunFigures {
  readonly events: number;
  readonly wallS: number;
  readonly cpuS: number;
  readonly eventsPerCpuSecond: number;
  readonly commits: number;
  readonly processUsPerEvent: number;
  readonly commitUsPerEvent: number;
  /** Of outputs and changelogs. */
  readonly bytesPerEvent: number;
}

export interface TaskRunOptions {
  /** A task each, with state of its own, in one process; devices are dealt out. */
  readonly partitions: number;
  /** Events. */
  readonly commitEvery: number;
  /** As in stream-job.ts. Default `iot`. */
  readonly job?: string;
  /** After each commit: CPU time since the one before. */
  readonly onCommit?: (cpuMs: number) => void;
}

export async function runTasks(
  data: StreamData,
  { partitions, commitEvery, job = "iot", onCommit }: TaskRunOptions,
): Promise<TaskRunFigures> {
  const settings = jobSettingsSchema.parse({});
  const [subtopology] = (job === "peers" ? peerTopology(settings) : buildTelemetryTopology(settings)).subtopologies;
  const collector = new OutputCollector();
  const tasks: Task[] = [];
  for (let n = 0; n < partitions; n++) tasks.push(await memoryTask(subtopology, collector, CACHE_BYTES / partitions));
  const batches = encodeAll(data, partitions);
  const startedAt = performance.now();
  const cpuBefore = process.cpuUsage();
  const spent = { processMs: 0, commitMs: 0 };
  let cpuAtCommit = cpuBefore;
  let [sinceCommit, outputBytes, commits] = [0, 0, 0];
  const commit = (): void => {
    const t0 = performance.now();
    const frozen = tasks.map((task) => task.freeze().frozen);
    const set = collector.take();
    for (const builder of set.builders) for (const pending of builder.batches) outputBytes += encodeBatch(pending, {}).length;
    tasks.forEach((task, n) => task.state.committed(frozen[n], new Map()));
    collector.release(set);
    sinceCommit = 0;
    commits++;
    spent.commitMs += performance.now() - t0;
    const { user, system } = process.cpuUsage(cpuAtCommit);
    cpuAtCommit = process.cpuUsage();
    onCommit?.((user + system) / 1e3);
  };
  for (const { task, bytes } of batches) {
    const t0 = performance.now();
    sinceCommit += processBatches(tasks[task], settings.topics.raw, bytes);
    spent.processMs += performance.now() - t0;
    if (sinceCommit >= commitEvery) commit();
  }
  commit();
  const cpu = process.cpuUsage(cpuBefore);
  const cpuS = (cpu.user + cpu.system) / 1e6;
  return {
    events: data.total,
    wallS: (performance.now() - startedAt) / 1000,
    cpuS,
    eventsPerCpuSecond: Math.round(data.total / cpuS),
    commits,
    processUsPerEvent: round3((spent.processMs * 1000) / data.total),
    commitUsPerEvent: round3((spent.commitMs * 1000) / data.total),
    bytesPerEvent: Math.round(outputBytes / data.total),
  };
}

interface RawBatch {
  readonly task: number;
  readonly bytes: Buffer;
}

function encodeAll(data: StreamData, partitions: number): RawBatch[] {
  const result: RawBatch[] = [];
  const open = Array.from({ length: partitions }, () => ({ builder: newBuilder(), offset: 0 }));
  const flush = (task: number): void => {
    const { builder, offset } = open[task];
    if (builder.recordCount === 0) return;
    result.push({ task, bytes: Buffer.from(encodeBatch(builder.batches[0], { baseOffset: offset })) });
    open[task] = { builder: newBuilder(), offset: offset + builder.recordCount };
  };
  for (const event of data.events()) {
    const key = Buffer.from(deviceKey(event.tenant, event.deviceId));
    const task = Number(event.deviceId.slice(event.deviceId.lastIndexOf("-") + 1)) % partitions;
    const { builder } = open[task];
    builder.append(event.receivedTs, key, 0, key.length, event.value, 0, event.value.length);
    if (builder.recordCount * partitions >= RECORDS_PER_BATCH) flush(task);
  }
  for (let task = 0; task < partitions; task++) flush(task);
  return result;
}

function newBuilder(): BatchBuilder {
  return new BatchBuilder("raw", 0, 1 << 30);
}

function round3(value: number): number {
  return Math.round(value * 1000) / 1000;
}
