/** One round of the soak: an application of its own under load and faults, then its outputs compared, then everything of it removed. */
import { appendFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Cleanup } from "../../support/cleanup.ts";
import { deleteTopics } from "../../support/delete-topics.ts";
import type { Kafka } from "../../support/kafka.ts";
import { waitUntilDrained } from "../../support/telemetry.ts";
import { JobUnderFaults, type Differences } from "../job-under-faults.ts";
import { Coordinators } from "./coordinators.ts";
import { describeFault, perform } from "./perform.ts";
import { engineOf, planRound, type FaultKind } from "./plan.ts";
import { Watch } from "./watch.ts";

/** No number that the brokers' count divides: leaders are spread unevenly, as they are. */
const PARTITIONS = 5;
const DEVICES = 400;
/** About a third of what two cores do beside three brokers: after a fault the workers must catch up. */
const EVENTS_PER_SECOND = 1_500;
const WRITE_EVERY_MS = 500;
/** More than any round writes. */
const MAX_EVENTS = 10_000_000;
/** Through proxies that stand still; a stalled request is given up before the session is. */
const SESSION_TIMEOUT_MS = 6_000;
const REQUEST_TIMEOUT_MS = 3_000;
/** After the last fault: the longest of a session, a broker's start, all that waits to be processed, and a fifth of two cores for it. */
const DRAIN_DEADLINE_MS = 120_000;

export interface RoundOptions {
  readonly kafka: Kafka;
  /** The same seed, length and standbys give the same events and faults; when exactly they meet is the machine's. */
  readonly seed: number;
  /** Of load and faults, about. */
  readonly seconds: number;
  readonly standbys: number;
  /** For state, logs and, when they differ, outputs. The caller removes it. */
  readonly dir: string;
  readonly say: (line: string) => void;
}

export interface RoundFigures {
  readonly faults: Readonly<Partial<Record<FaultKind, number>>>;
  readonly coordinatorMoves: number;
  readonly events: number;
  readonly longestGapMs: number;
  readonly peakRssMiB: number;
  /** Tasks whose local state was thrown away by the worker itself. */
  readonly rebuilds: number;
  /** Transactions still open after all workers had stopped cleanly. */
  readonly openTransactions: number;
  readonly outputs: Differences;
}

/** Rejects when a worker ends by itself, does not stop cleanly or makes no progress; figures are for the caller to judge. */
export async function runRound(t: Cleanup, { kafka, seed, seconds, standbys, dir, say }: RoundOptions): Promise<RoundFigures> {
  const plan = planRound(seed, { seconds, sessionTimeoutMs: SESSION_TIMEOUT_MS });
  const tell = (line: string): void => {
    appendFileSync(join(dir, "faults.log"), `${new Date().toISOString()} ${line}\n`);
    say(line);
  };
  tell(`${plan.staticMembers ? "static" : "dynamic"} members, engine ${plan.engines}, ${plan.steps.length} steps`);
  t.after(() => calm(kafka));
  // the cluster is the soak's own, and the disk is for the next round
  t.after(() => deleteTopics(kafka, (name) => !name.startsWith("__")));
  const job = await JobUnderFaults.create(t, {
    kafka,
    partitions: PARTITIONS,
    devices: DEVICES,
    seed,
    events: MAX_EVENTS,
    staticMembers: plan.staticMembers,
    config: {
      kafka: {
        brokers: kafka.proxies.map((proxy) => proxy.address),
        sessionTimeoutMs: SESSION_TIMEOUT_MS,
        requestTimeoutMs: REQUEST_TIMEOUT_MS,
      },
    },
    env: (worker) => ({ SLUICE_STATE_ENGINE: engineOf(plan, worker), SLUICE_PROCESSING_STANDBY_REPLICAS: String(standbys) }),
    dir,
  });
  const scene = { job, kafka, coordinators: new Coordinators(t, kafka.bootstrap, job.group) };
  await job.fleet.start(...plan.workers);
  await job.fleet.untilAllWork();
  await scene.coordinators.count();
  const load = new Load(job);
  const watch = new Watch(job);
  const faults: Partial<Record<FaultKind, number>> = {};
  try {
    for (const step of plan.steps) {
      await delay(step.restMs);
      for (const fault of step.faults) {
        faults[fault.kind] = (faults[fault.kind] ?? 0) + 1;
        tell(describeFault(fault));
      }
      await Promise.all(step.faults.map((fault) => perform(fault, scene)));
      throwIf(job.fleet.problem());
    }
    await load.stop();
    tell(`${job.written} events written; draining`);
    await waitUntilDrained(job.log, job.group, job.topics.raw, DRAIN_DEADLINE_MS);
    throwIf(job.fleet.problem());
  } finally {
    await load.stop();
    await watch.stop();
  }
  await job.fleet.stopAll();
  const { length: openTransactions } = await job.log.admin.openTransactions(`${job.group}/`);
  const outputs = await job.differences();
  const { longestGapMs, peakRssMiB } = watch;
  const { rebuilds } = job.fleet;
  const { moves: coordinatorMoves } = scene.coordinators;
  return { faults, coordinatorMoves, events: job.written, longestGapMs, peakRssMiB, rebuilds, openTransactions, outputs };
}

/** Events at a steady pace, whatever becomes of the workers. */
class Load {
  readonly #job: JobUnderFaults;
  readonly #stopped = new AbortController();
  readonly #writing: Promise<void>;

  constructor(job: JobUnderFaults) {
    this.#job = job;
    this.#writing = this.#write();
    this.#writing.catch(() => undefined); // stop() rejects with it
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#writing;
  }

  async #write(): Promise<void> {
    while (!this.#stopped.signal.aborted) {
      await this.#job.write((EVENTS_PER_SECOND * WRITE_EVERY_MS) / 1_000);
      await delay(WRITE_EVERY_MS, undefined, { signal: this.#stopped.signal }).catch(() => undefined); // stopped: the loop ends
    }
  }
}

function throwIf(error: Error | undefined): void {
  if (error !== undefined) throw error;
}

/** A round that failed half-way leaves brokers frozen or stopped and proxies as they were. */
async function calm(kafka: Kafka): Promise<void> {
  for (const proxy of kafka.proxies) proxy.calm();
  for (const pid of kafka.pids) if (pid > 0) process.kill(pid, "SIGCONT");
  await kafka.restart();
}
