/** `sluice worker --workers`: one command, several processes, on a real Kafka. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test, type TestContext } from "node:test";
import type { WorkerInfo } from "../../runtime/queries.ts";
import { need } from "../support/need.ts";
import { sharedKafka } from "../support/shared-kafka.ts";
import type { CliProcess } from "../support/spawn-cli.ts";
import { waitFor } from "../support/wait-for.ts";
import { assertExact } from "./assert-exact.ts";
import { JobUnderFaults } from "./job-under-faults.ts";

const skip = await need("kafka", "kcat");
const PARTITIONS = 4;
const WORKERS = 2;
const EVENTS_PER_STEP = 8_000;
const STEPS = 3;
const HOST = "host";
/** From the end of a process' stderr to its own. */
const LAST_MOMENT = { deadlineMs: 2_000, intervalMs: 5 };
const STEP = { deadlineMs: 60_000, intervalMs: 50 };
/** Replayed per task after a clean stop: what a checkpoint holds is not read again. */
const RESTORED = /"restored":(\d+),.*"task restored"/g;

test(
  "two workers of one command share the tasks, and kill -9 of one and then of the other under load loses and doubles nothing",
  { skip },
  async (t) => {
    const job = await jobOf(t, 20260101);
    await job.fleet.start(HOST);
    const host = job.fleet.get(HOST);
    await waitFor("each runs its share", () => eachRuns(host, PARTITIONS / WORKERS), STEP);
    for (const [step, victim] of [0, 1].entries()) {
      await job.write(EVENTS_PER_STEP);
      await job.untilCommitted(step * EVENTS_PER_STEP + 2_000, 5);
      const pid = pidsOf(host)[victim];
      process.kill(pid, "SIGKILL");
      await waitFor("it is started again", () => pidsOf(host)[victim] !== pid, STEP);
      await waitFor("each runs its share again", () => eachRuns(host, PARTITIONS / WORKERS), STEP);
    }
    await job.write(EVENTS_PER_STEP);
    await job.drained();
    for (const url of urlsOf(host)) {
      const { devices, complete } = (await answer(url, "/v1/tenants/demo/devices?limit=1000")) as { devices: unknown[]; complete: boolean };
      assert.deepEqual([devices.length, complete], [300, true], "whichever is asked answers for both");
    }
    const pids = pidsOf(host);
    await job.fleet.stopAll();
    assert.deepEqual(pids.filter(isAlive), []);
    assert.equal(job.fleet.rebuilds, 0, "no worker threw its state away");
    assertExact(t, await job.differences());
  },
);

test("kill -9 of the supervisor: its workers stop cleanly, and one worker, then three, go on with their state", { skip }, async (t) => {
  const workers = { count: WORKERS };
  const job = await jobOf(t, 20260102, workers);
  await job.fleet.start(HOST);
  const several = job.fleet.get(HOST);
  await waitFor("each runs its share", () => eachRuns(several, PARTITIONS / WORKERS), STEP);
  await job.write(EVENTS_PER_STEP);
  await job.drained();
  await job.fleet.kill(HOST); // until nobody writes to its stderr: the last of a worker's end is still to come then
  await waitFor("its workers have ended", () => !pidsOf(several).some(isAlive), LAST_MOMENT);
  for (let index = 0; index < WORKERS; index++)
    assert.match(several.stderr(), new RegExp(`"worker":${index},"by":"supervisor is gone","msg":"asked to stop"`));
  assert.doesNotMatch(several.stderr(), /did not stop|could not commit/);
  for (const count of [1, 3]) {
    workers.count = count;
    await job.fleet.start(HOST);
    const next = job.fleet.get(HOST);
    await waitFor("all tasks run", () => [...next.stderr().matchAll(RESTORED)].length >= PARTITIONS, STEP);
    if (count > 1) await waitFor("each has some", async () => (await tasksOf(next)).every((tasks) => tasks.length > 0), STEP);
    await job.fleet.stop(HOST);
    assert.deepEqual(
      [...next.stderr().matchAll(RESTORED)].filter(([, restored]) => restored !== "0"),
      [],
      `${count} found the state where it was`,
    );
  }
});

function jobOf(t: TestContext, seed: number, workers = { count: WORKERS }): Promise<JobUnderFaults> {
  return sharedKafka().then((kafka) =>
    JobUnderFaults.create(t, {
      kafka,
      partitions: PARTITIONS,
      seed,
      events: STEPS * EVENTS_PER_STEP,
      configOf: () => ({ processing: { commitIntervalMs: 20, workers: workers.count } }),
    }),
  );
}

/** Newest of each worker. */
function pidsOf(host: CliProcess): number[] {
  const pids: number[] = [];
  for (const [, worker, pid] of host.stderr().matchAll(/"worker":(\d+),"pid":(\d+),"msg":"worker started"/g))
    pids[Number(worker)] = Number(pid);
  return pids;
}

/** As last said in one line. */
function urlsOf(host: CliProcess): string[] {
  const line = [...host.stderr().matchAll(/^.*all workers listen.*$/gm)].at(-1)?.[0] ?? '{"workers":[]}';
  return (JSON.parse(line) as { workers: { url: string }[] }).workers.map(({ url }) => url);
}

async function answer(url: string, path: string): Promise<unknown> {
  const got = await fetch(url + path, { signal: AbortSignal.timeout(5_000) });
  assert.equal(got.status, 200, path);
  return got.json();
}

async function tasksOf(host: CliProcess): Promise<string[][]> {
  return Promise.all(
    urlsOf(host).map(async (url) => {
      const { workers } = (await answer(url, "/v1/tasks?scope=local")) as { workers: WorkerInfo[] };
      return workers.flatMap(({ tasks }) => tasks.flatMap(({ taskId, status }) => (status === "running" ? [taskId] : [])));
    }),
  );
}

async function eachRuns(host: CliProcess, count: number): Promise<boolean> {
  const tasks = await tasksOf(host);
  return tasks.length === WORKERS && tasks.every((own) => own.length === count);
}

/** A process that ended and that nobody waits for has an entry still. */
function isAlive(pid: number): boolean {
  try {
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}
