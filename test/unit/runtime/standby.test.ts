/** Copies of other workers' tasks: they take over, warm up, answer, and survive their own trouble. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { LogError } from "../../../eventlog/errors.ts";
import type { FetchedBatch, PartitionOffset } from "../../../eventlog/port.ts";
import { changelogTopic } from "../../../state/changelog.ts";
import { StateUnavailableError } from "../../../runtime/queries.ts";
import type { Worker } from "../../../runtime/worker.ts";
import { HeldChangelogs } from "../../support/held-changelogs.ts";
import { waitUntilDrained } from "../../support/telemetry.ts";
import { tempDir } from "../../support/temp-dir.ts";
import { waitFor } from "../../support/wait-for.ts";
import { wrappedLog } from "../../support/wrapped-log.ts";
import { assertExact, metricOf, PARTITIONS, setUp, type Setup } from "./support/counting-worker.ts";

const KEYS = 40;
const ROUNDS = 25;

/** With a disk of its own. */
function workerOf(t: TestContext, setup: Setup, processing: object, engine: "level" | "memory" = "level", log = setup.log): Worker {
  return setup.worker({
    log,
    state: { dir: tempDir(t, "own-state"), engine, cacheMiB: 4 },
    processing: { guarantee: "exactly-once", commitIntervalMs: 10, ...processing },
  });
}

const standbyLags = (worker: Worker): (number | null)[] => worker.queries.worker().standbys.map(({ lag }) => lag);

/** Above the 10 s after which a worker asks once more for a task that it has warmed up for. */
const RUNNING_WITHIN = { deadlineMs: 30_000 };

async function allRunning(worker: Worker, tasks: number): Promise<void> {
  const isSo = (): boolean => worker.state === "RUNNING" && worker.queries.worker().tasks.length === tasks;
  await waitFor(`${tasks} tasks run`, isSo, RUNNING_WITHIN);
}

async function caughtUp(worker: Worker, copies: number): Promise<void> {
  await waitFor(
    `${copies} copies have caught up`,
    () => standbyLags(worker).length === copies && standbyLags(worker).every((lag) => lag === 0),
  );
}

/** Two workers that have processed a feed and keep whole copies of each other's tasks. */
async function copiedPair(t: TestContext, setup: Setup, engine: "level" | "memory" = "level"): Promise<[Worker, Worker]> {
  const pair: [Worker, Worker] = [workerOf(t, setup, { standbyReplicas: 1 }, engine), workerOf(t, setup, { standbyReplicas: 1 }, engine)];
  const [first, second] = pair;
  await first.start();
  await second.start();
  await Promise.all(pair.map((worker) => allRunning(worker, 2)));
  await setup.feed(KEYS, ROUNDS);
  await waitUntilDrained(setup.log, "app", "in");
  await Promise.all(pair.map((worker) => caughtUp(worker, 2)));
  return pair;
}

for (const engine of ["level", "memory"] as const)
  test(`a standby takes over without a restore, and nothing is lost or doubled, on ${engine} (kafka-streams #12540)`, async (t) => {
    const setup = await setUp(t);
    const [first, second] = await copiedPair(t, setup, engine);
    const before = await metricOf(second, "sluice_restored_records_total");
    await first.stop();
    await allRunning(second, PARTITIONS);
    await setup.feed(KEYS, ROUNDS);
    await waitUntilDrained(setup.log, "app", "in");
    const after = await metricOf(second, "sluice_restored_records_total");
    assert.equal(after - before, 0, "the copies were whole");
    assert.deepEqual(standbyLags(second), []);
    await assertExact(setup, KEYS, 2 * ROUNDS);
  });

test("a copy that lags behind is brought up to date before it takes over (kafka-streams #12540)", async (t) => {
  const setup = await setUp(t);
  const held = new HeldChangelogs(setup.log);
  const first = workerOf(t, setup, { standbyReplicas: 1 });
  const second = workerOf(t, setup, { standbyReplicas: 1 }, "level", held.log);
  await first.start();
  await second.start();
  await Promise.all([allRunning(first, 2), allRunning(second, 2)]);
  await setup.feed(KEYS, ROUNDS);
  await waitUntilDrained(setup.log, "app", "in");
  await caughtUp(second, 2);
  held.allow(0);
  await setup.feed(KEYS, ROUNDS);
  await waitUntilDrained(setup.log, "app", "in");
  await first.stop();
  await waitFor(
    "it waits for what its copies lack",
    () => second.queries.worker().tasks.filter(({ status }) => status === "restoring").length === 2,
  );
  await setup.feed(KEYS, ROUNDS);
  held.allow(Infinity);
  await waitUntilDrained(setup.log, "app", "in");
  await assertExact(setup, KEYS, 3 * ROUNDS);
  const lacked = await metricOf(second, "sluice_restored_records_total");
  assert.ok(lacked > 0 && lacked <= KEYS * ROUNDS, `${lacked} records, and not all that there were`);
});

test("a task of a large state moves to a new worker only when that has caught up, and is not restored there (KIP-441)", async (t) => {
  const setup = await setUp(t);
  const processing = { acceptableRecoveryLag: 5 };
  const first = workerOf(t, setup, processing);
  await first.start();
  await allRunning(first, PARTITIONS);
  await setup.feed(KEYS, ROUNDS);
  await waitUntilDrained(setup.log, "app", "in");
  const held = new HeldChangelogs(setup.log);
  held.allow(0);
  const second = workerOf(t, setup, processing, "level", held.log);
  await second.start();
  await waitFor("it warms up", () => second.queries.worker().standbys.some(({ warmup }) => warmup));
  assert.equal(first.queries.worker().tasks.length, PARTITIONS, "nothing has moved yet");
  held.allow(Infinity);
  await allRunning(second, 2);
  await allRunning(first, 2);
  assert.ok((await metricOf(second, "sluice_standby_records_total")) > 0);
  assert.equal(await metricOf(second, "sluice_restored_records_total"), 0);
  await setup.feed(KEYS, ROUNDS);
  await waitUntilDrained(setup.log, "app", "in");
  await assertExact(setup, KEYS, 2 * ROUNDS);
});

test("a standby answers with its age, within the bound that is given, and its owner's rows", async (t) => {
  const setup = await setUp(t);
  const [first, second] = await copiedPair(t, setup);
  let asked = 0;
  for (let n = 0; n < PARTITIONS; n++) {
    const taskId = `0_${n}`;
    const standby = [first, second].find(({ queries }) => queries.worker().standbys.some((copy) => copy.taskId === taskId));
    assert.ok(standby !== undefined);
    for (let key = 0; key < KEYS; key++) {
      if (standby.queries.locate(`k${key}`).kind === "local") continue;
      const [location] = standby.queries.standbysOf(`k${key}`, { maxStalenessMs: 60_000 });
      if (location?.kind !== "local") continue;
      assert.ok(location.stalenessMs >= 0 && location.stalenessMs <= 60_000);
      const row = await location.reader.get("totals", `k${key}`);
      if (row === undefined) continue; // fed by hand into another partition than its key's
      assert.equal((row as { count: number }).count, ROUNDS);
      asked++;
    }
    assert.deepEqual(
      standby.queries.standbysOf("k0", { maxStalenessMs: -1 }).filter(({ kind }) => kind === "local"),
      [],
    );
  }
  assert.ok(asked > 0);
});

test("rows of a worker's own tasks and of its copies are all rows, each once, in pages; a copy that is too old is not read", async (t) => {
  const setup = await setUp(t);
  const [first, second] = await copiedPair(t, setup);
  const { queries } = first;
  const tasks = queries.tasksOf("totals");
  assert.deepEqual(tasks, ["0_0", "0_1", "0_2", "0_3"]);
  assert.deepEqual(queries.tasksOf("no-such-store"), []);
  const own = queries.rowsHere("totals");
  const copies = queries.rowsHere("totals", { taskIds: tasks, maxStalenessMs: 60_000 });
  assert.deepEqual([...own.sources, ...copies.sources].map(({ taskId }) => taskId).sort(), tasks);
  assert.ok(own.sources.every(({ stalenessMs }) => stalenessMs === 0) && copies.sources.every(({ stalenessMs }) => stalenessMs > 0));
  const seen: string[] = [];
  for (const rows of [own, copies])
    for (let after: string | undefined; ;) {
      const page = await rows.scan({ limit: 7, ...(after === undefined ? {} : { after }) });
      for (const { value } of page) assert.equal((value as { count: number }).count, ROUNDS);
      seen.push(...page.map(({ key }) => key));
      if (page.length < 7) break;
      after = page.at(-1)?.key;
    }
  assert.deepEqual(seen.sort(), Array.from({ length: KEYS }, (_, n) => `k${n}`).sort());
  const [{ taskId }] = copies.sources;
  assert.deepEqual(queries.rowsHere("totals", { taskIds: [taskId], maxStalenessMs: 60_000 }).sources.length, 1);
  assert.deepEqual(queries.rowsHere("totals", { taskIds: tasks, maxStalenessMs: -1 }).sources, []);
  await first.stop();
  await assert.rejects(own.scan({ limit: 1 }), StateUnavailableError, "its tasks are another's");
  await allRunning(second, PARTITIONS);
});

test("what a standby has read is on its disk when its worker stops, and is not read again", async (t) => {
  const setup = await setUp(t);
  const dir = tempDir(t, "own-state");
  const options = {
    state: { dir, engine: "level" as const, cacheMiB: 4 },
    processing: { guarantee: "exactly-once" as const, commitIntervalMs: 10, standbyReplicas: 1 },
  };
  const first = workerOf(t, setup, { standbyReplicas: 1 });
  await first.start();
  await allRunning(first, PARTITIONS);
  await setup.feed(KEYS, ROUNDS);
  await waitUntilDrained(setup.log, "app", "in");
  const second = setup.worker(options);
  await second.start();
  await Promise.all([allRunning(first, 2), allRunning(second, 2)]);
  await Promise.all([caughtUp(first, 2), caughtUp(second, 2)]);
  await second.stop();
  assert.deepEqual(
    readdirSync(join(dir, "app")).filter((name) => name.endsWith(".position")),
    ["0_0.position", "0_1.position", "0_2.position", "0_3.position"],
  );
  const again = setup.worker(options);
  await again.start();
  await Promise.all([allRunning(first, 2), allRunning(again, 2)]);
  await caughtUp(again, 2);
  const read = (await metricOf(again, "sluice_standby_records_total")) + (await metricOf(again, "sluice_restored_records_total"));
  assert.equal(read, 0);
  await assertExact(setup, KEYS, ROUNDS);
});

test("a copy that fails, and copies that cannot be read, are counted until they have caught up again", async (t) => {
  const setup = await setUp(t);
  let failure: LogError | undefined;
  const failing = wrappedLog(setup.log, {
    reader: (options) => {
      const reader = setup.log.reader(options);
      let assigned: readonly PartitionOffset[] = [];
      const assign = (offsets: readonly PartitionOffset[]): void => reader.assign((assigned = offsets));
      /** Of a partition that is not read any more nobody is told. */
      const isRead = ({ partitions }: LogError): boolean =>
        assigned.some(
          ({ topic, partition }) =>
            topic.endsWith("-changelog") && (partitions.length === 0 || partitions.some((failed) => failed.partition === partition)),
        );
      const poll = (waitMs: number): Promise<FetchedBatch[]> =>
        failure !== undefined && isRead(failure) ? Promise.reject(failure) : reader.poll(waitMs);
      return new Proxy(reader, {
        get: (target, name) => {
          if (name === "assign") return assign;
          if (name === "poll") return poll;
          const value: unknown = Reflect.get(target, name, target);
          return typeof value === "function" ? (value.bind(target) as unknown) : value;
        },
      });
    },
  });
  const first = workerOf(t, setup, { standbyReplicas: 1 });
  const second = workerOf(t, setup, { standbyReplicas: 1 }, "level", failing);
  await first.start();
  await second.start();
  await Promise.all([first, second].map((worker) => allRunning(worker, 2)));
  await setup.feed(KEYS, ROUNDS);
  await waitUntilDrained(setup.log, "app", "in");
  await caughtUp(second, 2);
  const failingNow = (): Promise<number> => metricOf(second, "sluice_standbys_failing");
  assert.equal(await failingNow(), 0);

  const [{ partition }] = second.queries.worker().standbys;
  const partitions = [{ topic: changelogTopic("app", "totals"), partition }];
  failure = new LogError("offset-out-of-range", "what comes next is gone", { partitions });
  await waitFor("one copy fails", async () => (await failingNow()) === 1);
  failure = new LogError("unauthorized", "not allowed any more");
  await waitFor("none can be read", async () => (await failingNow()) === 2);
  failure = undefined;
  await waitFor("all have caught up", async () => (await failingNow()) === 0, { deadlineMs: 20_000 });
  await caughtUp(second, 2);
  await first.stop();
  await allRunning(second, PARTITIONS);
  await assertExact(setup, KEYS, ROUNDS);
});
