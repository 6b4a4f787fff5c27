/** The faults of cluster.test.ts. */
import type { Kafka } from "../support/kafka.ts";
import type { JobUnderFaults } from "./job-under-faults.ts";
import { seededRandom } from "./seeded-random.ts";

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

/** Every second bounce is a kill -9. One broker at a time: two in sync of three stay. */
export async function bounceBrokers(
  job: JobUnderFaults,
  kafka: Kafka,
  { bounces, eventsPerFault }: { bounces: number; eventsPerFault: number },
): Promise<void> {
  for (let bounce = 0; bounce < bounces; bounce++) {
    const node = bounce % kafka.bootstrap.length;
    await job.write(eventsPerFault);
    await job.untilCommitted(job.written - eventsPerFault + 1, 1);
    if (bounce % 2 === 0) await kafka.kill(node);
    else await kafka.stop(node);
    await kafka.restart();
    await job.drained();
  }
}
