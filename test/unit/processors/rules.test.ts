import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { test } from "node:test";
import { alertsStore } from "../../../processors/alerts-row.ts";
import { Job, KEY, T0 } from "./support/job.ts";

const HOT = { name: "hot", metric: "temperature_c", above: 90, clearBelow: 88 };
let seq = 0;

function read(job: Job, second: number, tempC: number, key: string = KEY): void {
  job.send({ bootId: "b", seq: seq++, ts: T0 + second * 1_000, tempC }, { key, at: T0 + second * 1_000 });
}

function story(job: Job): string[] {
  return job
    .alerts()
    .map(({ state, value, ts, startedTs }) => `${state} ${value} at ${(ts - T0) / 1_000} since ${(startedTs - T0) / 1_000}`);
}

test("an alert fires above the threshold and resolves only below the clearing one", async (t) => {
  const job = await Job.start(t, { rules: [HOT] });
  [90, 91, 95, 89, 91, 88, 87.9, 89, 92].forEach((value, second) => read(job, second, value));
  const alerts = job.alerts();
  assert.deepEqual(
    alerts.map(({ state, value }) => [state, value]),
    [
      ["firing", 91],
      ["resolved", 87.9],
      ["firing", 92],
    ],
  );
  assert.equal(alerts[0].id, alerts[1].id);
  assert.notEqual(alerts[0].id, alerts[2].id);
  const { message, ...first } = alerts[0];
  assert.deepEqual(first, {
    v: 1,
    id: `hot|demo|d1|${T0 + 1_000}`,
    tenant: "demo",
    deviceId: "d1",
    rule: "hot",
    severity: "warning",
    state: "firing",
    value: 91,
    threshold: 90,
    startedTs: T0 + 1_000,
    ts: T0 + 1_000,
  });
  assert.equal(message, "temperature_c 91 is above 90");
});

test("the message for people rounds to 3 decimals; value and threshold stay exact", async (t) => {
  const job = await Job.start(t, { rules: [{ name: "hot", metric: "temperature_c", above: 90.00049, clearBelow: 88 }] });
  [91.0215815, 68.0215815, 92.9999, -0.00001].forEach((value, second) => read(job, second, value));
  assert.deepEqual(
    job.alerts().map(({ message, value, threshold }) => [message, value, threshold]),
    [
      ["temperature_c 91.022 is above 90", 91.0215815, 90.00049],
      ["temperature_c is back to 68.022", 68.0215815, 90.00049],
      ["temperature_c 93 is above 90", 92.9999, 90.00049],
      ["temperature_c is back to 0", -0.00001, 90.00049],
    ],
  );
});

test("below mirrors above, and without a clearing threshold an alert resolves when it no longer breaches", async (t) => {
  const job = await Job.start(t, { rules: [{ name: "cold", metric: "temperature_c", below: 5, severity: "critical" }] });
  [6, 5, 4.9, 5, 4].forEach((value, second) => read(job, second, value));
  assert.deepEqual(story(job), ["firing 4.9 at 2 since 2", "resolved 5 at 3 since 2", "firing 4 at 4 since 4"]);
});

test("with forMs every reading over that time must breach, by event time", async (t) => {
  const job = await Job.start(t, { rules: [{ ...HOT, forMs: 3_000 }] });
  [91, 92, 89, 91, 92, 93, 94, 95].forEach((value, second) => read(job, second, value));
  assert.deepEqual(story(job), ["firing 94 at 6 since 3"]);
});

test("a reading older than the last one judged changes nothing", async (t) => {
  const job = await Job.start(t, { rules: [HOT] });
  read(job, 0, 50);
  read(job, 10, 50);
  read(job, 5, 99);
  read(job, 11, 99);
  read(job, 6, 10);
  assert.deepEqual(story(job), ["firing 99 at 11 since 11"]);
});

test("rules keep to their tenant, devices and metric", async (t) => {
  const rules = [
    { ...HOT, name: "tenant", tenant: "other" },
    { ...HOT, name: "prefix", devices: ["pump-*"] },
    { ...HOT, name: "exact", devices: ["d1"] },
    { ...HOT, name: "metric", metric: "rotation_rpm" },
  ];
  const job = await Job.start(t, { rules });
  for (const key of ["other|x", "demo|pump-9", KEY]) read(job, 0, 99, key);
  assert.deepEqual(
    job.alerts().map(({ rule, deviceId }) => [rule, deviceId]),
    [
      ["tenant", "x"],
      ["prefix", "pump-9"],
      ["exact", "d1"],
    ],
  );
});

test("duplicates do not fire again", async (t) => {
  const job = await Job.start(t, { rules: [HOT] });
  for (let i = 0; i < 3; i++) job.send({ bootId: "x", seq: 1, ts: T0, tempC: 99 });
  assert.equal(job.alerts().length, 1);
});

test("state survives a restart: pending time, firing alert, recent ones; an alert of a removed rule resolves", async (t) => {
  const directory = await mkdtemp(`${tmpdir()}/sluice-rules-`);
  t.after(() => rm(directory, { recursive: true, force: true }));
  const state = { engine: "level", directory } as const;
  const slow = { name: "slow", metric: "temperature_c", above: 95, forMs: 5_000 };
  let job = await Job.start(t, { rules: [HOT, slow] }, { state });
  [91, 80, 96].forEach((value, second) => read(job, second, value));
  assert.equal(job.alerts().length, 3);
  await job.stop();
  job = await Job.start(t, { rules: [HOT, slow] }, { state });
  read(job, 7, 96);
  assert.deepEqual(story(job), ["firing 96 at 7 since 2"]);
  const row = job.driver.store(alertsStore).get(KEY);
  assert.deepEqual([row?.active.map((alert) => alert.rule), row?.recent.map((alert) => alert.rule)], [["hot", "slow"], ["hot"]]);
  await job.stop();
  job = await Job.start(t, { rules: [slow] }, { state });
  read(job, 8, 96);
  assert.deepEqual(
    job.alerts().map(({ rule, state: now, message }) => [rule, now, message]),
    [["hot", "resolved", "rule hot was removed"]],
  );
});

test("resolved alerts that are kept for HTTP are bounded, newest first", async (t) => {
  const job = await Job.start(t, { rules: [HOT] });
  for (let i = 0; i < 60; i++) read(job, i, i % 2 === 0 ? 99 : 10);
  const row = job.driver.store(alertsStore).get(KEY);
  assert.equal(row?.recent.length, 20);
  assert.equal(row?.recent[0].ts, T0 + 59_000);
});
