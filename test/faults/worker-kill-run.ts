/**
 * Two workers on a real Kafka, killed with -9 at random moments under load and restarted. Outputs are read with kcat under
 * read_committed and compared, record by record, with those of an undisturbed run over the same raw topic.
 * The body of worker-kill.test.ts and of scripts/soak-worker-kill.ts.
 */
import { join } from "node:path";
import type { Logger } from "pino";
import { generateFleet } from "../../cli/simulate/fleet.ts";
import { KafkaLog } from "../../eventlog/kafka/kafka-log.ts";
import type { EventLog } from "../../eventlog/port.ts";
import type { Cleanup } from "../support/cleanup.ts";
import { consumeAll } from "../support/console-consumer.ts";
import type { Kafka } from "../support/kafka.ts";
import { spawnCli, type CliProcess } from "../support/spawn-cli.ts";
import {
  committedSum,
  createJobTopics,
  jobTopics,
  waitUntilDrained,
  writeRaw,
  type JobTopics,
  type RawEvent,
} from "../support/telemetry.ts";
import { tempDir } from "../support/temp-dir.ts";
import { uniqueName } from "../support/unique-name.ts";
import { waitFor } from "../support/wait-for.ts";
import { compareRecords, type Difference } from "./compare-records.ts";

/** Written before each kill, which comes at a random point of their processing: about a second's work. */
const EVENTS_PER_KILL = 8_000;
/** Share of the kills that hit the worker killed last, as soon as it is up again: while it joins and restores. */
const EARLY_KILLS = 0.25;
const PARTITIONS = 4;
const NAMES = ["w1", "w2"] as const;
type WorkerName = (typeof NAMES)[number];
/** A worker says this once it takes signals. */
const UP = /HTTP API listens/;
const WORKING = /"task restored"/;
const REBUILT = /rebuilding this task from its changelog/g;

export type OutputKind = "normalized" | "aggregates" | "alerts";

export interface WorkerKillFigures {
  readonly seed: number;
  readonly kills: number;
  readonly events: number;
  /** Kills of a worker that had taken up a task; the others were still starting. */
  readonly killsAtWork: number;
  /** Tasks whose local state was thrown away. */
  readonly rebuilds: number;
  readonly outputs: Readonly<Record<OutputKind, Difference>>;
}

export interface WorkerKillOptions {
  readonly kafka: Kafka;
  readonly kills: number;
  /** The same seed gives the same events, and kills at the same progress of the same workers. */
  readonly seed: number;
  readonly logger: Logger;
}

/** Rejects when a worker ends by itself, does not stop cleanly or makes no progress; differences are for the caller to judge. */
export async function runWorkerKills(t: Cleanup, { kafka, kills, seed, logger }: WorkerKillOptions): Promise<WorkerKillFigures> {
  const log = new KafkaLog({ brokers: kafka.bootstrap, clientId: "worker-kill", logger });
  t.after(() => log.close());
  const calm = jobTopics();
  const disturbed: JobTopics = { ...jobTopics(), raw: calm.raw };
  await createJobTopics(log, calm, PARTITIONS);
  await createJobTopics(log, disturbed, PARTITIONS);
  const source = rawEvents(seed, (kills + 1) * EVENTS_PER_KILL);
  let events = 0;

  const stateDir = tempDir(t, "worker-kill");
  const start = (name: string, applicationId: string, topics: JobTopics): Promise<CliProcess> =>
    spawnCli(t, ["worker"], { config: workerConfig({ kafka, name, applicationId, topics, dir: join(stateDir, name) }) });
  const group = uniqueName("disturbed");
  const workers = new Workers((name) => start(name, group, disturbed));
  await workers.startAll();
  const random = seededRandom(seed);
  let victim: WorkerName = "w1";
  for (let kill = 0; kill < kills; kill++) {
    const early = kill > 0 && random() < EARLY_KILLS;
    if (!early) await workers.untilAllWork();
    // not at the very end: by the time the commit has been seen, the rest may be done too
    const threshold = events + Math.ceil(random() * 0.7 * EVENTS_PER_KILL);
    events += await writeRaw(log, calm.raw, next(source, EVENTS_PER_KILL));
    if (early) await workers.untilUp(victim);
    else {
      await workers.untilCommitted(log, { group, topic: calm.raw, threshold, intervalMs: 1 + Math.floor(random() * 40) });
      victim = random() < 0.5 ? "w1" : "w2";
    }
    await workers.killAndRestart(victim);
  }
  events += await writeRaw(log, calm.raw, source);
  await waitUntilDrained(log, group, calm.raw, 300_000);
  await workers.stopAll();

  const calmGroup = uniqueName("calm");
  const calmWorkers = new Workers(() => start("calm", calmGroup, calm));
  await calmWorkers.startAll(["calm"]);
  await waitUntilDrained(log, calmGroup, calm.raw, 300_000);
  await calmWorkers.stopAll();

  const compare = async (kind: OutputKind): Promise<Difference> =>
    compareRecords(await outputs(kafka, calm[kind]), await outputs(kafka, disturbed[kind]));
  const compared = { normalized: await compare("normalized"), aggregates: await compare("aggregates"), alerts: await compare("alerts") };
  return { seed, kills, events, killsAtWork: workers.killsAtWork, rebuilds: workers.rebuilds, outputs: compared };
}

class Workers {
  readonly #start: (name: string) => Promise<CliProcess>;
  readonly #running = new Map<string, CliProcess>();
  killsAtWork = 0;
  rebuilds = 0;

  constructor(start: (name: string) => Promise<CliProcess>) {
    this.#start = start;
  }

  async startAll(names: readonly string[] = NAMES): Promise<void> {
    for (const name of names) this.#running.set(name, await this.#start(name));
  }

  async untilUp(name: string): Promise<void> {
    await this.#running.get(name)?.waitForOutput(UP);
  }

  async untilAllWork(): Promise<void> {
    for (const worker of this.#running.values()) await worker.waitForOutput(WORKING, 60_000);
  }

  async untilCommitted(
    log: EventLog,
    { group, topic, threshold, intervalMs }: { group: string; topic: string; threshold: number; intervalMs: number },
  ): Promise<void> {
    let dead: CliProcess | undefined;
    const reached = async (): Promise<boolean> => {
      dead = [...this.#running.values()].find((worker) => !worker.running());
      return dead !== undefined || (await committedSum(log, group, topic)) >= threshold;
    };
    await waitFor(`${threshold} events are committed`, reached, { deadlineMs: 120_000, intervalMs });
    if (dead !== undefined) throw new Error(`a worker ended by itself: ${dead.stderr()}${dead.stdout()}`);
  }

  async killAndRestart(name: string): Promise<void> {
    const worker = this.#running.get(name);
    await worker?.kill("SIGKILL");
    if (worker !== undefined && WORKING.test(worker.stderr())) this.killsAtWork++;
    this.#note(name);
    this.#running.set(name, await this.#start(name));
  }

  async stopAll(): Promise<void> {
    for (const [name, worker] of this.#running) {
      await worker.waitForOutput(UP);
      const { code } = await worker.stop();
      if (code !== 0) throw new Error(`worker ${name} stopped with exit code ${String(code)}: ${worker.stderr()}`);
      this.#note(name);
    }
    this.#running.clear();
  }

  #note(name: string): void {
    this.rebuilds += this.#running.get(name)?.stderr().match(REBUILT)?.length ?? 0;
  }
}

function workerConfig({ kafka, name, applicationId, topics, dir }: WorkerPlace): Record<string, unknown> {
  return {
    applicationId,
    instanceId: name,
    kafka: { brokers: kafka.bootstrap, sessionTimeoutMs: 6_000 },
    topics,
    windows: [{ sizeMs: 1_000, graceMs: 500, idleMs: 1_000 }],
    rules: [{ name: "hot", metric: "temperature_c", above: 22, clearBelow: 21 }],
    // one small commit at a time, so that kills fall into all its steps
    processing: { commitIntervalMs: 20 },
    state: { dir, cacheMiB: 8 },
    http: { port: 0 },
    log: { level: "info" },
  };
}

interface WorkerPlace {
  readonly kafka: Kafka;
  readonly name: string;
  readonly applicationId: string;
  readonly topics: JobTopics;
  readonly dir: string;
}

/** Unlike Iterator's take() it leaves the source open. */
function* next(source: Iterator<RawEvent>, count: number): Generator<RawEvent> {
  for (let taken = 0; taken < count; taken++) {
    const { value, done } = source.next();
    if (done === true) return;
    yield value;
  }
}

function* rawEvents(seed: number, count: number): Generator<RawEvent, void, undefined> {
  const fleet = generateFleet({
    seed,
    tenant: "demo",
    devices: 300,
    count,
    rate: 3_000,
    startTs: Date.now() - 600_000,
    duplicates: 0.1,
    duplicateDistance: 5_000,
    reorder: 0.05,
    gaps: 0.01,
    reboots: 0.001,
  });
  for (const event of fleet.events())
    yield { tenant: event.tenant, deviceId: event.deviceId, value: event.bytes, receivedTs: Math.floor(event.sendAtMs) };
}

async function outputs(kafka: Kafka, topic: string): Promise<string[]> {
  return (await consumeAll(kafka.bootstrapServers, topic)).map(
    (record) => `${record.partition} ${String(record.key)} ${String(record.value)}`,
  );
}

function seededRandom(from: number): () => number {
  let state = from;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 4_294_967_296;
  };
}
