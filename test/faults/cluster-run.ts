/** The faults of cluster.test.ts. */
import type { Cleanup } from "../support/cleanup.ts";
import type { Kafka } from "../support/kafka.ts";
import { waitFor } from "../support/wait-for.ts";
import type { JobUnderFaults } from "./job-under-faults.ts";
import { seededRandom } from "./seeded-random.ts";
import { Coordinators } from "./soak/coordinators.ts";

/** kill -9 and clean stops in random order, some restarted at once and some only after others have taken over. */
export async function disturbWorkers(
  job: JobUnderFaults,
  { faults, eventsPerFault, seed }: { faults: number; eventsPerFault: number; seed: number },
): Promise<void> {
  const random = seededRandom(seed);
  const { fleet } = job;
  for (let fault = 0; fault < faults; fault++) {
    const victim = fleet.names[Math.floor(random() * fleet.names.length)];
    const threshold = job.written + Math.ceil(random() * 0.7 * eventsPerFault);
    await job.write(eventsPerFault);
    await job.untilCommitted(threshold, 1 + Math.floor(random() * 40));
    if (random() < 0.6) await fleet.kill(victim);
    else await fleet.stop(victim);
    if (random() < 0.3) await job.drained();
    await fleet.start(victim);
  }
  await job.drained();
}

/** What the workers ask of a broker that then goes away. */
export const ROLES = ["the group's coordinator", "a worker's transaction coordinator", "the leader of a source partition"] as const;
const MOVED_WITHIN_MS = 30_000;

/**
 * Whichever broker has the role goes, under load, and the work is done without it before it comes back. Every second one is a kill -9.
 * One broker at a time: two in sync of three stay.
 */
export async function bounceBrokers(t: Cleanup, job: JobUnderFaults, kafka: Kafka, eventsPerFault: number): Promise<void> {
  const coordinators = new Coordinators(t, kafka.bootstrap, job.group);
  const find = {
    [ROLES[0]]: () => coordinators.find("group"),
    [ROLES[1]]: () => coordinators.find("transaction"),
    [ROLES[2]]: () => coordinators.leaderOf(job.topics.raw),
  };
  for (const [bounce, role] of ROLES.entries()) {
    await job.write(eventsPerFault);
    await job.untilCommitted(job.written - eventsPerFault + 1, 1);
    const node = await find[role]();
    if (bounce % 2 === 0) await kafka.kill(node);
    else await kafka.stop(node);
    await waitFor(`${role} is another`, async () => (await find[role]()) !== node, { deadlineMs: MOVED_WITHIN_MS });
    await job.drained();
    await kafka.restart();
  }
  await job.drained();
}
