/**
 * Kafka's streams_standby_replica_test, as whole processes: three workers with a copy of each task elsewhere, stopped, killed and
 * started eleven times. SLUICE_SEED repeats a run.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { STORES } from "../../processors/formats/records.ts";
import { changelogTopic } from "../../state/changelog.ts";
import { need } from "../support/need.ts";
import { sharedKafka } from "../support/shared-kafka.ts";
import type { CliProcess } from "../support/spawn-cli.ts";
import { waitFor } from "../support/wait-for.ts";
import { assertExact } from "./assert-exact.ts";
import { JobUnderFaults } from "./job-under-faults.ts";
import { seededRandom } from "./seeded-random.ts";
import type { WorkerFleet } from "./worker-fleet.ts";

const skip = await need("kafka", "kcat");
const seed = Number(process.env.SLUICE_SEED ?? Date.now() % 1_000_000);
const PARTITIONS = 6;
/** Starts, stops and kills. */
const EVENTS = 11;
const RECORDS_PER_EVENT = 4_000;
/** Records: far fewer than a task has, so that it is given to nobody who would have to restore it. */
const ACCEPTABLE_LAG = 500;
const WORKERS = ["w1", "w2", "w3"];

interface TasksAnswer {
  readonly workers: readonly {
    readonly state: string;
    readonly tasks: readonly { readonly taskId: string; readonly status: string }[];
    readonly standbys: readonly { readonly taskId: string; readonly lag: number | null }[];
  }[];
}

async function ask(worker: CliProcess): Promise<TasksAnswer["workers"][number] | undefined> {
  const url = /"url":"(http:[^"]+)"[^\n]*HTTP API listens/.exec(worker.stderr())?.[1];
  if (url === undefined) return undefined;
  const answer = (await (await fetch(`${url}/v1/tasks?scope=local`, { signal: AbortSignal.timeout(5_000) })).json()) as TasksAnswer;
  return answer.workers[0];
}

/** Of all changelogs: about what three take-overs without copies would read. */
async function changelogOffsets({ log, group }: JobUnderFaults): Promise<number> {
  const topics = await log.admin.describeTopics(Object.values(STORES).map((store) => changelogTopic(group, store)));
  const partitions = topics.flatMap(({ name, partitions }) =>
    Array.from({ length: partitions }, (_, partition) => ({ topic: name, partition })),
  );
  return (await log.admin.listOffsets(partitions, "latest", "read_uncommitted")).reduce((sum, { offset }) => sum + offset, 0);
}

/** Every task runs somewhere, and has a copy elsewhere that has caught up. */
async function untilCovered(fleet: WorkerFleet): Promise<void> {
  await waitFor(
    "every task runs and has a copy",
    async () => {
      const workers = await Promise.all(fleet.names.map((name) => ask(fleet.get(name))));
      if (workers.some((worker) => worker?.state !== "RUNNING")) return false;
      const running = workers.flatMap((worker) => worker?.tasks ?? []);
      const copies = workers.flatMap((worker) => worker?.standbys ?? []);
      return running.length === PARTITIONS && copies.length === PARTITIONS && copies.every(({ lag }) => lag !== null && lag < 1_000);
    },
    { deadlineMs: 60_000, intervalMs: 100 },
  );
}

test(
  `standbys take over from workers that are stopped and killed, ${EVENTS} times (kafka-streams #12540, seed ${seed})`,
  { skip, timeout: 240_000 },
  async (t) => {
    const job = await JobUnderFaults.create(t, {
      kafka: await sharedKafka(),
      partitions: PARTITIONS,
      seed,
      events: (EVENTS + 1) * RECORDS_PER_EVENT,
      staticMembers: false,
      config: { processing: { commitIntervalMs: 20, standbyReplicas: 1, acceptableRecoveryLag: ACCEPTABLE_LAG } },
    });
    const { fleet } = job;
    const random = seededRandom(seed);
    await fleet.start(...WORKERS);
    await job.write(RECORDS_PER_EVENT);
    const takeOversMs: number[] = [];
    let restored = 0;
    for (let event = 0; event < EVENTS; event++) {
      const absent = WORKERS.filter((name) => !fleet.names.includes(name));
      if (absent.length > 0) {
        await fleet.start(absent[0]);
        await job.write(RECORDS_PER_EVENT);
        await job.drained();
        continue;
      }
      await job.drained();
      await untilCovered(fleet);
      const victim = fleet.names[Math.floor(random() * fleet.names.length)];
      const before = new Map(fleet.names.map((name) => [name, fleet.get(name).stderr().length]));
      const killed = event % 4 === 0;
      await job.write(RECORDS_PER_EVENT / 2);
      if (killed) await fleet.kill(victim);
      else await fleet.stop(victim);
      const goneAt = performance.now();
      await job.write(RECORDS_PER_EVENT / 2);
      await job.drained();
      if (killed) takeOversMs.push(Math.round(performance.now() - goneAt));
      for (const name of fleet.names)
        for (const [, records] of fleet
          .get(name)
          .stderr()
          .slice(before.get(name))
          .matchAll(/"restored":(\d+)[^\n]*"task restored"/g))
          restored += Number(records);
    }
    await job.drained();
    await fleet.stopAll();
    t.diagnostic(
      `from kill -9 to everything committed by the others, ms: ${takeOversMs.join(", ")}; records restored in take-overs: ${restored}`,
    );
    assert.equal(fleet.rebuilds, 0, "no worker threw its state away");
    const changelogs = await changelogOffsets(job);
    assert.ok(restored < changelogs / 5, `copies took over, not restores: ${restored} records of ${changelogs}`);
    assertExact(t, await job.differences());
  },
);
