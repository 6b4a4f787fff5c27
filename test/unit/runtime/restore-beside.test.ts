/** Restores beside running tasks: neither waits for the other, nothing that comes in meanwhile is lost, and every restore ends. */
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { EmbeddedLog } from "../../../eventlog/embedded/embedded-log.ts";
import type { Worker } from "../../../runtime/worker.ts";
import { recordSet } from "../../contract/eventlog-helpers.ts";
import { HeldChangelogs } from "../../support/held-changelogs.ts";
import { partitionsOf, waitUntilDrained } from "../../support/telemetry.ts";
import { tempDir } from "../../support/temp-dir.ts";
import { waitFor } from "../../support/wait-for.ts";
import { assertExact, PARTITIONS, setUp, type Setup } from "./support/counting-worker.ts";

const KEYS = 20;
const ROUNDS = 10;
const CHANGELOG = "app-totals-changelog";

const tasksOf = (worker: Worker, status: string): string[] =>
  worker.queries
    .worker()
    .tasks.filter((task) => task.status === status)
    .map(({ taskId }) => taskId)
    .sort();

async function runs(worker: Worker, tasks: number): Promise<void> {
  await waitFor(`${tasks} tasks run`, () => worker.state === "RUNNING" && tasksOf(worker, "running").length === tasks);
}

/** Each task is committed to its input's end. */
async function committed({ log, applicationId, source }: Setup, tasks: readonly string[]): Promise<void> {
  const own = (await partitionsOf(log, source)).filter(({ partition }) => tasks.includes(`0_${partition}`));
  const ends = await log.admin.listOffsets(own, "latest", "read_committed");
  await waitFor(`${tasks.join()} are committed to the end`, async () => {
    const offsets = await log.admin.groupOffsets(applicationId, own);
    return ends.every((end) => offsets.some(({ partition, offset }) => partition === end.partition && offset === end.offset));
  });
}

/** Workers with a disk each; the last one's restores last until the test lets them go on. */
async function sharedBy(t: TestContext, setup: Setup, held: HeldChangelogs, count: number): Promise<Worker[]> {
  const workers: Worker[] = [];
  while (workers.length < count) {
    const worker = newWorker(t, setup, workers.length === count - 1 ? held.log : setup.log);
    workers.push(worker);
    await worker.start();
  }
  await waitFor("tasks are shared", () => {
    const shares = workers.map((worker) => tasksOf(worker, "running").length);
    return shares.reduce((sum, tasks) => sum + tasks) === PARTITIONS && !shares.includes(0);
  });
  await setup.feed(KEYS, ROUNDS);
  await waitUntilDrained(setup.log, setup.applicationId, setup.source);
  return workers;
}

function newWorker(t: TestContext, setup: Setup, log = setup.log): Worker {
  return setup.worker({ log, state: { dir: tempDir(t, "disk"), engine: "level", cacheMiB: 4 } });
}

test("running tasks are processed and committed while others restore, and what comes in for those is kept for them (goka #207)", async (t) => {
  const setup = await setUp(t);
  const held = new HeldChangelogs(setup.log);
  const [second, first] = await sharedBy(t, setup, held, 2);
  const own = tasksOf(first, "running");
  held.allow(0);
  await second.stop();
  await waitFor("the other half waits for its changelogs", () => held.waiting && tasksOf(first, "restoring").length === PARTITIONS / 2);
  for (let round = 0; round < 5; round++) {
    await setup.feed(KEYS, ROUNDS);
    await committed(setup, own);
    assert.equal(tasksOf(first, "restoring").length, PARTITIONS / 2, "the others still restore");
    assert.deepEqual(tasksOf(first, "running"), own);
  }
  held.allow(Infinity);
  await waitUntilDrained(setup.log, setup.applicationId, setup.source);
  await assertExact(setup, KEYS, 6 * ROUNDS);
});

test("tasks that come while another is being restored are restored too, and what goes meanwhile is let go (Quix #1146)", async (t) => {
  const setup = await setUp(t);
  const held = new HeldChangelogs(setup.log);
  const others = await sharedBy(t, setup, held, 3);
  const slow = others.pop();
  assert.ok(slow !== undefined);
  others.sort((a, b) => tasksOf(a, "running").length - tasksOf(b, "running").length);
  held.allow(0);
  for (const [index, restoring] of [1, 3].entries()) {
    await others[index].stop();
    await waitFor(`${restoring} are being restored`, () => held.waiting && tasksOf(slow, "restoring").length === restoring);
  }
  const another = newWorker(t, setup);
  await another.start();
  await runs(another, PARTITIONS / 2);
  assert.ok(tasksOf(slow, "restoring").length > 0, "and some are still being restored");
  held.allow(Infinity);
  await runs(slow, PARTITIONS / 2);
  await setup.feed(KEYS, ROUNDS);
  await waitUntilDrained(setup.log, setup.applicationId, setup.source);
  await assertExact(setup, KEYS, 2 * ROUNDS);
});

test("a restore ends where the changelog's last offsets hold no records: aborted, still open, or compacted away (Faust #432)", async (t) => {
  const embedded = await EmbeddedLog.open({ dir: tempDir(t, "tail-log") });
  const setup = await setUp(t, { own: { log: embedded, prefix: "" } });
  const once = async (worker: Worker): Promise<void> => {
    await worker.start();
    await setup.feed(KEYS, ROUNDS);
    await waitUntilDrained(setup.log, setup.applicationId, setup.source);
    await worker.stop();
    rmSync(join(setup.stateDir, setup.applicationId), { recursive: true });
  };
  await once(setup.worker());
  const tail = recordSet(
    CHANGELOG,
    [0, 1, 2, 3].map((partition) => ({ key: "k", value: "v", partition })),
  );
  const aborted = embedded.txnWriter({ transactionalId: "somebody", timeoutMs: 60_000 });
  await aborted.open();
  aborted.begin();
  await aborted.write(tail);
  await aborted.abort();
  await once(setup.worker());
  const dead = embedded.txnWriter({ transactionalId: `${setup.applicationId}/dead`, timeoutMs: 60_000 });
  t.after(() => dead.close());
  await dead.open();
  dead.begin();
  await dead.write(tail);
  await once(setup.worker());
  await assertExact(setup, KEYS, 3 * ROUNDS);
  await embedded.runMaintenance();
  const last = setup.worker();
  await last.start();
  await runs(last, PARTITIONS);
  const rows = await last.queries.scan("totals", { limit: 100 });
  assert.deepEqual(new Set(rows.map(({ value }) => (value as { count: number }).count)), new Set([3 * ROUNDS]));
  assert.equal(rows.length, KEYS);
});
