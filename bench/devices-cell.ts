/**
 * One cell of bench/devices.ts, in a process of its own: the job's task over the state of so many devices. Prints one JSON line.
 *
 *     node bench/devices-cell.ts --devices 1000000 --engine level [--events 400000] [--cache-mib 64] [--commit-every 20000]
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { parseArgs } from "node:util";
import { pino } from "pino";
import { BatchBuilder } from "../eventlog/records/batch-builder.ts";
import { encodeBatch } from "../eventlog/records/encode-batch.ts";
import { parseBatches } from "../eventlog/records/parse-batches.ts";
import { deviceKey } from "../processors/formats/names.ts";
import { jobSettingsSchema } from "../processors/settings.ts";
import { buildTelemetryTopology } from "../processors/telemetry-topology.ts";
import { Checkpointer } from "../runtime/checkpointer.ts";
import { memoryBudget } from "../runtime/memory-budget.ts";
import { OutputCollector } from "../runtime/output-collector.ts";
import type { Task } from "../runtime/task.ts";
import { TaskDirectories } from "../runtime/task-directories.ts";
import type { EngineName } from "../state/engines/engine.ts";
import { TaskState } from "../state/task-state.ts";
import { startTask } from "./bench-task.ts";
import { deviceId, fleetRows, sampleTs, SAMPLES_BEFORE, TENANT } from "./device-rows.ts";
import { report } from "./report.ts";

const { values } = parseArgs({
  options: {
    devices: { type: "string", default: "10000" },
    engine: { type: "string", default: "level" },
    events: { type: "string", default: "400000" },
    "cache-mib": { type: "string", default: "64" },
    "commit-every": { type: "string", default: "20000" },
  },
});
const devices = Number(values.devices);
const events = Number(values.events);
const commitEvery = Number(values["commit-every"]);
const engine = values.engine as EngineName;

/** Of restored rows, a flush. Bytes. */
const FLUSH_BYTES = 16 << 20;
/** As the worker's default. */
const CHECKPOINT_INTERVAL_MS = 5_000;
/** Records a fetched batch. */
const RECORDS_PER_BATCH = 1_000;
/** As in runtime/processing-loop.ts. */
const LOW_WATER_BYTES = 2 << 20;
const SLICE_MS = 10;
/** Not measured: compiling, and a cache that is not full yet. */
const WARM_UP_SHARE = 0.25;

const settings = jobSettingsSchema.parse({});
const [window] = settings.windows;
const [subtopology] = buildTelemetryTopology(settings).subtopologies;
const clock = { baseMs: Math.floor((Date.now() - 3_600_000) / window.sizeMs) * window.sizeMs };
/** There is no group to be told how far the state is. */
const noPositions = new TaskDirectories("", "", "memory");
const directory = mkdtempSync(join(tmpdir(), "sluice-devices-"));

async function main(): Promise<void> {
  const options = { directory, engine, stores: subtopology.stores, cacheBytes: Number(values["cache-mib"]) << 20, identity: "bench/0_0" };
  const preload = await fill(await TaskState.open(options));
  const openStartedAt = performance.now();
  const state = await TaskState.open(options);
  const collector = new OutputCollector();
  const task = await startTask(subtopology, state, collector);
  const openMs = performance.now() - openStartedAt;
  await task.settled();
  const indexMs = performance.now() - openStartedAt - openMs;
  const openRss = memory();

  const input = makeEvents();
  const run = new Run(task, collector);
  const warmUp = Math.floor(input.length * WARM_UP_SHARE);
  await run.drain(input.slice(0, warmUp));
  const before = run.start();
  await run.drain(input.slice(warmUp));
  const result = run.finish(before);
  const misses = state.stats().reduce((sum, store) => sum + store.misses, 0);
  await task.close();
  report.log(
    JSON.stringify({
      devices,
      engine,
      ...result,
      misses,
      openMs: Math.round(openMs),
      indexMs: Math.round(indexMs),
      openRss,
      preload,
      peakRssMiB: memory().peak,
      diskMiB: diskMiB(),
    }),
  );
}

/** By way of restore, as from changelogs. Closes the state. */
async function fill(state: TaskState): Promise<{ rows: number; seconds: number }> {
  const startedAt = performance.now();
  let rows = 0;
  const positions = new Map(state.storeNames.map((name) => [name, 0]));
  const steps = fleetRows(devices, window, clock, (store, bytes, keyEnd, end) => {
    state.restore(store.name, bytes, 0, keyEnd, keyEnd, end);
    rows++;
  });
  for (const _ of steps) if (state.restoredBytes >= FLUSH_BYTES) await state.flushRestored(positions);
  await state.flushRestored(positions);
  await state.close();
  return { rows, seconds: Math.round((performance.now() - startedAt) / 100) / 10 };
}

class Run {
  readonly #task: Task;
  readonly #collector: OutputCollector;
  readonly #checkpointer = new Checkpointer(
    CHECKPOINT_INTERVAL_MS,
    memoryBudget(Number(values["cache-mib"])).uncheckpointedBytes,
    noPositions,
  );
  readonly #logger = pino({ level: "error" });
  readonly #positions = new Map<string, number>();
  #sinceCommit = 0;
  #records = 0;
  #rows = 0;
  #rowBytes = 0;

  constructor(task: Task, collector: OutputCollector) {
    this.#task = task;
    this.#collector = collector;
  }

  /** Fetched batches wait in the task as in a worker; it processes in slices. */
  async drain(input: readonly Buffer[]): Promise<void> {
    let next = 0;
    for (;;) {
      while (next < input.length && this.#task.bufferedBytes < LOW_WATER_BYTES) await this.#add(input[next++]);
      const processed = this.#task.process(performance.now() + SLICE_MS);
      if (processed === 0) break;
      this.#sinceCommit += processed;
      this.#records += processed;
      if (this.#sinceCommit >= commitEvery) this.#commit();
      this.#checkpointer.tick([this.#task], performance.now(), this.#logger);
      await nextTurn();
    }
    this.#commit();
    await this.#task.state.checkpoint();
  }

  async #add(bytes: Buffer): Promise<void> {
    for (const batch of parseBatches(bytes)) {
      const records = batch.records(0);
      const { nextOffset } = batch;
      await this.#task.add({ topic: settings.topics.raw, partition: 0, records, nextOffset, highWatermark: 0, lastStableOffset: 0 });
    }
  }

  start() {
    return {
      at: performance.now(),
      cpu: process.cpuUsage(),
      main: process.threadCpuUsage(),
      records: this.#records,
      rows: this.#rows,
      rowBytes: this.#rowBytes,
      io: ioBytes(),
    };
  }

  finish(before: ReturnType<Run["start"]>) {
    const now = this.start();
    const count = now.records - before.records;
    const seconds = (now.at - before.at) / 1000;
    const cpu = (now.cpu.user + now.cpu.system - before.cpu.user - before.cpu.system) / 1e6;
    const main = (now.main.user + now.main.system - before.main.user - before.main.system) / 1e6;
    return {
      events: count,
      eventsPerSecond: Math.round(count / seconds),
      eventsPerCpuSecond: Math.round(count / cpu),
      usPerEvent: round((seconds * 1e6) / count),
      cpuUsPerEvent: round((cpu * 1e6) / count),
      mainCpuUsPerEvent: round((main * 1e6) / count),
      rowsPerEvent: round((now.rows - before.rows) / count),
      writeAmplification: round((now.io.written - before.io.written) / (now.rowBytes - before.rowBytes)),
    };
  }

  #commit(): void {
    if (this.#sinceCommit === 0) return;
    const task = this.#task;
    const taken = task.freeze();
    this.#rows += taken.frozen.rows;
    this.#rowBytes += taken.frozen.bytes;
    const set = this.#collector.take();
    for (const builder of set.builders) for (const pending of builder.batches) encodeBatch(pending, {});
    for (const name of task.state.storeNames) this.#positions.set(name, this.#records);
    task.state.committed(taken.frozen, this.#positions);
    this.#collector.release(set);
    this.#sinceCommit = 0;
  }
}

/** Of devices picked evenly at random; each goes on from where its rows stand. */
function makeEvents(): Buffer[] {
  const nextSeq = new Uint32Array(devices).fill(SAMPLES_BEFORE);
  const result: Buffer[] = [];
  let random = 20260101;
  let offset = 10_000_000;
  let receivedTs = sampleTs(clock, 9, SAMPLES_BEFORE);
  let builder = new BatchBuilder("raw", 0, 10_000_000);
  for (let i = 0; i < events; i++) {
    random ^= random << 13;
    random ^= random >>> 17;
    random ^= random << 5;
    const device = (random >>> 0) % devices;
    const seq = nextSeq[device]++;
    const ts = sampleTs(clock, device, seq);
    receivedTs = Math.max(receivedTs, ts);
    const key = Buffer.from(deviceKey(TENANT, deviceId(device)));
    const value = Buffer.from(
      `{"deviceId":"${deviceId(device)}","bootId":"b1","seq":${seq},"ts":${ts},"tempC":${20 + (i % 997) / 100},"rpm":${1_000 + (i % 503)}}`,
    );
    builder.append(receivedTs, key, 0, key.length, value, 0, value.length);
    if (builder.recordCount < RECORDS_PER_BATCH && i < events - 1) continue;
    result.push(Buffer.from(encodeBatch(builder.batches[0], { baseOffset: offset })));
    offset += builder.recordCount;
    builder = new BatchBuilder("raw", 0, 10_000_000);
  }
  return result;
}

/** MiB. `anonymous`: without the pages of files that LevelDB maps. */
function memory(): { peak: number; anonymous: number } {
  const status = readFileSync("/proc/self/status", "utf8");
  const field = (name: string): number => Math.round(Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(status)?.[1]) / 1024);
  return { peak: field("VmHWM"), anonymous: field("RssAnon") };
}

function ioBytes(): { written: number } {
  return { written: Number(/wchar: (\d+)/.exec(readFileSync("/proc/self/io", "utf8"))?.[1]) };
}

function diskMiB(): number {
  const files = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return Math.round(files.reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0) / (1 << 20));
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}

try {
  await main();
} finally {
  rmSync(directory, { recursive: true, force: true });
}
