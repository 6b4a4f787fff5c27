/**
 * The job's task alone: decode, dedupe, windows, rules, output and changelog encoding, no log. What a worker can do at best.
 *
 *     node bench/task.ts [--devices 10000] [--samples 50] [--commit-every 20000]
 */
import { parseArgs } from "node:util";
import { BatchBuilder } from "../eventlog/records/batch-builder.ts";
import { encodeBatch } from "../eventlog/records/encode-batch.ts";
import { parseBatches } from "../eventlog/records/parse-batches.ts";
import type { FetchedBatch } from "../eventlog/port.ts";
import { deviceKey } from "../processors/formats/names.ts";
import { jobSettingsSchema } from "../processors/settings.ts";
import { buildTelemetryTopology } from "../processors/telemetry-topology.ts";
import { OutputCollector } from "../runtime/output-collector.ts";
import { TaskState } from "../state/task-state.ts";
import { startTask } from "./bench-task.ts";
import { conditions } from "./conditions.ts";
import { report } from "./report.ts";
import { streamData } from "./stream-data.ts";

const { values } = parseArgs({
  options: {
    devices: { type: "string", default: "10000" },
    samples: { type: "string", default: "50" },
    "commit-every": { type: "string", default: "20000" },
  },
});
const RECORDS_PER_BATCH = 5_000;
const commitEvery = Number(values["commit-every"]);
const settings = jobSettingsSchema.parse({});
const topology = buildTelemetryTopology(settings);
const [subtopology] = topology.subtopologies;

const collector = new OutputCollector();
const state = await TaskState.open({
  directory: "",
  engine: "memory",
  stores: subtopology.stores,
  cacheBytes: 64 << 20,
  identity: "bench/0_0",
});
const task = await startTask(subtopology, state, collector);

const data = streamData(Number(values.devices), Number(values.samples), Date.now() - 3_600_000);
const batches = encodeAll();
const startedAt = performance.now();
const cpuBefore = process.cpuUsage();
let sinceCommit = 0;
let outputBytes = 0;
let commits = 0;
let processMs = 0;
let commitMs = 0;
for (const bytes of batches) {
  for (const batch of parseBatches(bytes)) {
    const records = batch.records(0);
    const fetched: FetchedBatch = {
      topic: settings.topics.raw,
      partition: 0,
      records,
      nextOffset: batch.nextOffset,
      highWatermark: 0,
      lastStableOffset: 0,
    };
    void task.add(fetched);
    const t0 = performance.now();
    sinceCommit += task.process(Infinity);
    processMs += performance.now() - t0;
  }
  if (sinceCommit >= commitEvery) commit();
}
commit();
const cpu = process.cpuUsage(cpuBefore);
const cpuS = (cpu.user + cpu.system) / 1e6;
const wallS = (performance.now() - startedAt) / 1000;
report.log(JSON.stringify(conditions()));
report.table({
  task: {
    events: data.total,
    wallS,
    cpuS,
    eventsPerCpuSecond: Math.round(data.total / cpuS),
    commits,
    processUsPerEvent: round3((processMs * 1000) / data.total),
    commitUsPerEvent: round3((commitMs * 1000) / data.total),
    bytesPerEvent: Math.round(outputBytes / data.total),
  },
});

function commit(): void {
  const t0 = performance.now();
  const taken = task.freeze();
  const set = collector.take();
  for (const builder of set.builders) for (const pending of builder.batches) outputBytes += encodeBatch(pending, {}).length;
  task.state.committed(taken.frozen, new Map());
  collector.release(set);
  sinceCommit = 0;
  commits++;
  commitMs += performance.now() - t0;
}

function encodeAll(): Buffer[] {
  const result: Buffer[] = [];
  let builder = new BatchBuilder("raw", 0, 10_000_000);
  let offset = 0;
  const flush = (): void => {
    if (builder.recordCount === 0) return;
    result.push(Buffer.from(encodeBatch(builder.batches[0], { baseOffset: offset })));
    offset += builder.recordCount;
    builder = new BatchBuilder("raw", 0, 10_000_000);
  };
  for (const event of data.events()) {
    const key = Buffer.from(deviceKey(event.tenant, event.deviceId));
    builder.append(event.receivedTs, key, 0, key.length, event.value, 0, event.value.length);
    if (builder.recordCount === RECORDS_PER_BATCH) flush();
  }
  flush();
  return result;
}

function round3(value: number): number {
  return Math.round(value * 1000) / 1000;
}
