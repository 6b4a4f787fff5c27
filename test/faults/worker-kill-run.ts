/**
 * Two workers on a real Kafka, killed with -9 at random moments under load and restarted. The body of worker-kill.test.ts and of
 * scripts/soak-worker-kill.ts.
 */
import type { Cleanup } from "../support/cleanup.ts";
import type { Kafka } from "../support/kafka.ts";
import { JobUnderFaults, type Differences } from "./job-under-faults.ts";
import { seededRandom } from "./seeded-random.ts";

/** Written before each kill, which comes at a random point of their processing: about a second's work. */
const EVENTS_PER_KILL = 8_000;
/** Share of the kills that hit the worker killed last, as soon as it is up again: while it joins and restores. */
const EARLY_KILLS = 0.25;
const PARTITIONS = 4;

export interface WorkerKillFigures {
  readonly seed: number;
  readonly kills: number;
  readonly events: number;
  /** Kills of a worker that had taken up a task; the others were still starting. */
  readonly killsAtWork: number;
  /** Tasks whose local state was thrown away. */
  readonly rebuilds: number;
  readonly outputs: Differences;
}

export interface WorkerKillOptions {
  readonly kafka: Kafka;
  readonly kills: number;
  /** The same seed gives the same events, and kills at the same progress of the same workers. */
  readonly seed: number;
}

/** Rejects when a worker ends by itself, does not stop cleanly or makes no progress; differences are for the caller to judge. */
export async function runWorkerKills(t: Cleanup, { kafka, kills, seed }: WorkerKillOptions): Promise<WorkerKillFigures> {
  const job = await JobUnderFaults.create(t, { kafka, partitions: PARTITIONS, seed, events: (kills + 1) * EVENTS_PER_KILL });
  const { fleet } = job;
  await fleet.start("w1", "w2");
  const random = seededRandom(seed);
  let victim = "w1";
  for (let kill = 0; kill < kills; kill++) {
    const early = kill > 0 && random() < EARLY_KILLS;
    if (!early) await fleet.untilAllWork();
    // not at the very end: by the time the commit has been seen, the rest may be done too
    const threshold = job.written + Math.ceil(random() * 0.7 * EVENTS_PER_KILL);
    await job.write(EVENTS_PER_KILL);
    if (early) await fleet.untilUp(victim);
    else {
      await job.untilCommitted(threshold, 1 + Math.floor(random() * 40));
      victim = random() < 0.5 ? "w1" : "w2";
    }
    await fleet.kill(victim);
    await fleet.start(victim);
  }
  await job.write(EVENTS_PER_KILL);
  await job.drained();
  await fleet.stopAll();
  return { seed, kills, events: job.written, killsAtWork: fleet.killsAtWork, rebuilds: fleet.rebuilds, outputs: await job.differences() };
}
