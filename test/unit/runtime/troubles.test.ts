/** What is tried again for ever is bounded, and no outage is silent: one line when it begins, one when it is over. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { EmbeddedLog } from "../../../eventlog/embedded/embedded-log.ts";
import type { Trouble } from "../../../eventlog/port.ts";
import type { RuntimeError } from "../../../runtime/errors.ts";
import { Troubles } from "../../../runtime/troubles.ts";
import { Worker } from "../../../runtime/worker.ts";
import type { WorkerOptions } from "../../../runtime/worker-options.ts";
import { recordSet, write } from "../../contract/eventlog-helpers.ts";
import { countingTopology } from "../../support/counting-topology.ts";
import { FaultyLog } from "../../support/faulty-log.ts";
import { recorder } from "../../support/log-recorder.ts";
import { waitUntilDrained } from "../../support/telemetry.ts";
import { tempDir } from "../../support/temp-dir.ts";
import { waitFor } from "../../support/wait-for.ts";

const WARN = 40;
const INFO = 30;

function watch(t: TestContext, timeoutMs: number) {
  const { logger, lines } = recorder();
  const at: { trouble: Trouble | undefined; givenUp: RuntimeError[] } = { trouble: undefined, givenUp: [] };
  const troubles = new Troubles({
    sources: [
      { doing: "reading", trouble: () => at.trouble },
      { doing: "joining", trouble: () => undefined },
    ],
    timeoutMs,
    logger,
    onGivenUp: (error) => at.givenUp.push(error),
  });
  troubles.start();
  t.after(() => troubles.stop());
  return { lines, at, said: () => lines.map(({ level, msg }) => [level, msg]) };
}

test("a trouble is said once with its cause, and once more when it is over", async (t) => {
  const { lines, at, said } = watch(t, 60_000);
  at.trouble = { since: performance.now() - 5_000, error: new Error("no leader") };
  await waitFor("it is said", () => lines.length > 0);
  const lookedAt = performance.now();
  await waitFor("it has been looked at again", () => performance.now() - lookedAt > 600, { intervalMs: 50 });
  at.trouble = undefined;
  await waitFor("its end is said", () => lines.length > 1);
  assert.deepEqual(said(), [
    [WARN, "reading fails: it is tried again until it works, or the time is over"],
    [INFO, "reading works again"],
  ]);
  assert.match(JSON.stringify(lines[0]), /no leader/);
  assert.deepEqual(at.givenUp, []);
});

test("a trouble over before anybody need know is not said", async (t) => {
  const { lines, at } = watch(t, 60_000);
  at.trouble = { since: performance.now(), error: new Error("leader moves") };
  const begunAt = performance.now();
  await waitFor("it has been looked at", () => performance.now() - begunAt > 600, { intervalMs: 50 });
  at.trouble = undefined;
  await waitFor("it has been looked at again", () => performance.now() - begunAt > 1_200, { intervalMs: 50 });
  assert.deepEqual(lines, []);
});

test("a trouble that outlasts the bound is given up once, with its cause", async (t) => {
  const { at } = watch(t, 5_000);
  const error = new Error("no leader");
  at.trouble = { since: performance.now() - 6_000, error };
  await waitFor("it is given up", () => at.givenUp.length > 0);
  assert.deepEqual([at.givenUp[0].code, at.givenUp[0].cause], ["recovery-timeout", error]);
  assert.match(at.givenUp[0].message, /^reading has failed for 6 s: no leader$/);
});

async function setUp(t: TestContext) {
  const log = await EmbeddedLog.open({ dir: tempDir(t, "troubles-log") });
  const faults = new FaultyLog(log);
  await log.admin.createTopics(["in", "out"].map((name) => ({ name, partitions: 1, config: {} })));
  await write(log, recordSet("in", [{ key: "k", value: "x" }]));
  const record = recorder();
  const stateDir = tempDir(t, "troubles-state");
  const workers: Worker[] = [];
  t.after(() => Promise.all(workers.map((worker) => worker.stop())).then(() => log.close()));
  const worker = (recoveryTimeoutMs: number, overrides: Partial<WorkerOptions> = {}): Worker => {
    const made = new Worker({
      applicationId: "app",
      topology: countingTopology(),
      log: faults.log,
      state: { dir: stateDir, engine: "memory", cacheMiB: 4 },
      processing: { guarantee: "exactly-once", commitIntervalMs: 10, recoveryTimeoutMs, checkpointIntervalMs: 10 },
      sessionTimeoutMs: 5_000,
      logger: record.logger,
      ...overrides,
    });
    workers.push(made);
    return made;
  };
  return { log, faults, worker, stateDir, ...record };
}

test("a task whose committed offsets cannot be read waits for them; the worker says so, and goes on when they can", async (t) => {
  const { log, faults, worker, lines, said } = await setUp(t);
  faults.offsetsAway = "unavailable";
  await worker(60_000).start();
  const begun = "opening a task fails: it is tried again until it works, or the time is over";
  await waitFor("it is said", () => said(begun).length === 1);
  assert.match(JSON.stringify(said(begun)), /injected: no offsets/);
  faults.offsetsAway = undefined;
  await waitUntilDrained(log, "app", "in");
  await waitFor("its end is said", () => lines.some(({ msg }) => msg === "opening a task works again"));
});

test("a task that stays closed for too long fails the worker with the reason", async (t) => {
  const { faults, worker } = await setUp(t);
  faults.offsetsAway = "unavailable";
  const only = worker(1_000);
  await only.start();
  await assert.rejects(only.finished, { code: "recovery-timeout", message: /^opening a task has failed for \d+ s: injected: no offsets$/ });
});

test("stopping does not wait for a task that cannot be opened", async (t) => {
  const { faults, worker } = await setUp(t);
  faults.offsetsAway = "unavailable";
  const only = worker(60_000);
  await only.start();
  await waitFor("it is tried", () => only.queries.worker().tasks.length === 0 && only.state === "REBALANCING");
  await only.stop();
  assert.equal(only.state, "NOT_RUNNING");
});

test("a join that never succeeds is given up: start() rejects", async (t) => {
  const { faults, worker } = await setUp(t);
  faults.joinTrouble = { since: performance.now(), error: new Error("no coordinator") };
  await assert.rejects(worker(1_000).start(), {
    code: "recovery-timeout",
    message: /^membership of the group has failed for \d+ s: no coordinator$/,
  });
});

test("checkpoints that fail for too long fail the worker, naming the task", async (t) => {
  const { log, worker, stateDir } = await setUp(t);
  const only = worker(1_000, { state: { dir: stateDir, engine: "level", cacheMiB: 4 } });
  await only.start();
  const position = join(stateDir, "app", "0_0.position");
  await waitFor("a checkpoint is written", () => existsSync(position));
  rmSync(position);
  mkdirSync(position); // what the next one would write is a directory
  await write(log, recordSet("in", [{ key: "k", value: "x" }]));
  await assert.rejects(only.finished, {
    code: "recovery-timeout",
    message: /^writing checkpoints has failed for \d+ s: checkpoint of task 0_0: EISDIR/,
  });
});

test("a failed commit is said once an outage, and again when commits go through", async (t) => {
  const { log, faults, worker, lines, said } = await setUp(t);
  await worker(60_000).start();
  await waitUntilDrained(log, "app", "in");
  faults.away = "unavailable";
  await write(log, recordSet("in", [{ key: "k", value: "x" }]));
  const failed = performance.now();
  await waitFor("some attempts were made", () => performance.now() - failed > 1_500, { intervalMs: 50 });
  faults.away = undefined;
  await waitUntilDrained(log, "app", "in");
  await waitFor("its end is said", () => said("commits go through again").length > 0);
  assert.deepEqual(
    lines.filter(({ msg }) => /^commit/.test(msg)).map(({ level, msg }) => [level, msg]),
    [
      [WARN, "commit failed: recovering"],
      [INFO, "commits go through again"],
    ],
  );
});
