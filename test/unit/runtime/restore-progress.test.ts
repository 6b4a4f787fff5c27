/** What is told of a restore: in the log, as metrics, to queries. */
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { RestoreProgress } from "../../../runtime/queries.ts";
import { RestoreMeter, totalTimeLeftMs } from "../../../runtime/restore-meter.ts";
import { RestoreReport } from "../../../runtime/restore-report.ts";
import { HeldChangelogs } from "../../support/held-changelogs.ts";
import { recorder } from "../../support/log-recorder.ts";
import { waitUntilDrained } from "../../support/telemetry.ts";
import { waitFor } from "../../support/wait-for.ts";
import { assertExact, PARTITIONS, setUp } from "./support/counting-worker.ts";

test("what is left is counted in offsets, and the time left goes by offsets, not by the fewer records of a compacted changelog", () => {
  const meter = new RestoreMeter(1_000, 11_000, 0);
  assert.deepEqual(meter.progress("s", 0), {
    store: "s",
    restored: 0,
    restoredBytes: 0,
    remaining: 10_000,
    recordsPerSecond: 0,
    offsetsPerSecond: 0,
    timeLeftMs: undefined,
  });
  meter.advance(2_000, 100, 5_000, 1_000);
  const progress = meter.progress("s", 2_000);
  assert.deepEqual([progress.restored, progress.restoredBytes, progress.remaining], [100, 5_000, 9_000]);
  assert.deepEqual([progress.recordsPerSecond, progress.offsetsPerSecond, progress.timeLeftMs], [50, 500, 18_000]);
  // a batch of markers alone is progress too
  meter.advance(11_001, 0, 0, 2_500);
  assert.ok(meter.done);
  assert.deepEqual([meter.progress("s", 2_500).remaining, meter.progress("s", 2_500).timeLeftMs], [0, 0]);
});

test("rates are those of the last ten seconds, and a restore that stands still has no time left to tell", () => {
  const meter = new RestoreMeter(0, 1_000_000, 0);
  for (let ms = 100; ms <= 20_000; ms += 100) meter.advance(ms * 10, ms * 10, 0, ms); // 10,000 a second
  for (let ms = 20_100; ms <= 40_000; ms += 100) meter.advance(200_000 + (ms - 20_000), 100, 0, ms); // 1,000 a second
  assert.equal(meter.progress("s", 40_000).offsetsPerSecond, 1_000);
  const halfWay = meter.progress("s", 45_000).offsetsPerSecond;
  assert.ok(halfWay > 400 && halfWay < 600, `${halfWay} over a window whose second half is empty`);
  const still = meter.progress("s", 50_000);
  assert.deepEqual([still.recordsPerSecond, still.offsetsPerSecond, still.timeLeftMs], [0, 0, undefined]);
});

test("stores that restore together are done when what is left of all has come at the rate of all", () => {
  const store = (remaining: number, offsetsPerSecond: number): RestoreProgress => ({
    store: "s",
    restored: 0,
    restoredBytes: 0,
    remaining,
    recordsPerSecond: 0,
    offsetsPerSecond,
  });
  assert.equal(totalTimeLeftMs([store(9_000, 1_000), store(1_000, 0)]), 10_000);
  assert.equal(totalTimeLeftMs([store(9_000, 0)]), undefined);
  assert.equal(totalTimeLeftMs([]), 0);
});

test("a restore is told in the log when it begins and every five seconds, and a warning when nothing comes", (t) => {
  t.mock.timers.enable({ apis: ["setInterval"] });
  const { logger, lines, said } = recorder();
  const meter = new RestoreMeter(0, 60_000, 0);
  let now = 0;
  const report = new RestoreReport(logger, () => [{ taskId: "0_1", stores: [meter.progress("s", now)] }]);
  report.began("0_1", [meter.progress("s", 0)]);
  const [begin] = said("restore begins");
  assert.deepEqual([begin.taskId, begin.remaining, begin.stores], ["0_1", 60_000, ["s"]]);
  meter.advance(10_000, 10_000, 0, (now = 5_000));
  t.mock.timers.tick(5_000);
  const [line] = said("restoring");
  assert.deepEqual(
    [line.taskId, line.restored, line.remaining, line.recordsPerSecond, line.timeLeftMs],
    ["0_1", 10_000, 50_000, 2_000, 25_000],
  );
  now = 15_000;
  t.mock.timers.tick(5_000);
  assert.equal(said("restore stands still").length, 1);
  report.stop();
  t.mock.timers.tick(60_000);
  assert.equal(lines.length, 3);
});

test("a worker that restores says how far it is, how fast and how long still: to queries, as metrics, in the log", async (t) => {
  const { logger, said } = recorder();
  const setup = await setUp(t, { logger });
  const first = setup.worker();
  await first.start();
  for (let round = 0; round < 10; round++) {
    await setup.feed(40, 1);
    await waitUntilDrained(setup.log, "app", "in");
  }
  await first.stop();
  rmSync(join(setup.stateDir, "app"), { recursive: true });

  const held = new HeldChangelogs(setup.log);
  held.allow(8);
  const second = setup.worker({ log: held.log });
  await second.start();
  const restores = () => second.queries.worker().tasks.flatMap((task) => task.restore);
  await waitFor("some of it is restored, and every task has begun", () => held.waiting && restores().length === PARTITIONS);
  const metric = async (name: string): Promise<number> =>
    Number(new RegExp(`^${name} (\\S+)$`, "m").exec(await second.registry.metrics())?.[1].replace("Inf", "Infinity"));
  const told = restores();
  assert.equal(told.length, PARTITIONS);
  assert.ok(told.every(({ store }) => store === "totals"));
  const remaining = told.reduce((sum, store) => sum + store.remaining, 0);
  assert.ok(remaining > 0);
  assert.ok((await metric("sluice_restored_records_total")) > 0);
  assert.equal(await metric("sluice_restore_remaining_records"), remaining);
  assert.ok((await metric("sluice_restore_time_left_seconds")) > 0);
  const byTask = second.queries.worker().tasks.find(({ taskId }) => taskId === "0_2");
  assert.equal(
    await metric('sluice_task_restore_remaining_records\\{task="0_2"\\}'),
    byTask?.restore.reduce((sum, store) => sum + store.remaining, 0),
  );
  assert.equal(await metric("sluice_worker_running"), 0);

  held.allow(Infinity);
  await waitFor("it runs", () => second.state === "RUNNING");
  assert.deepEqual(restores(), []);
  assert.equal(await metric("sluice_restore_remaining_records"), 0);
  assert.equal(await metric("sluice_restore_time_left_seconds"), 0);
  const done = said("task restored").slice(-PARTITIONS);
  assert.equal(
    done.reduce((sum, line) => sum + Number(line.restored), 0),
    await metric("sluice_restored_records_total"),
  );
  for (const line of done) assert.ok(Number(line.bytes) > 0 && Number(line.recordsPerSecond) > 0 && Number(line.ms) >= 0);
  assert.equal(said("restore begins").length, PARTITIONS);
  await second.stop();
  await assertExact(setup, 40, 10);
});
