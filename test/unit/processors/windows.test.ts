import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { test, type TestContext } from "node:test";
import fc from "fast-check";
import type { AggregateRecord } from "../../../processors/formats/records.ts";
import { Job, T0 } from "./support/job.ts";
import { expectedWindows, statisticsOf, type ExpectedWindow, type WindowDefinition, type WindowEvent } from "./support/window-oracle.ts";

const definition = (time: "device" | "partition"): fc.Arbitrary<WindowDefinition> =>
  fc.record({
    sizeMs: fc.integer({ min: 3, max: 20 }),
    graceMs: fc.nat(25),
    idleMs: fc.integer({ min: 5, max: 60 }),
    time: fc.constant(time),
  });

const steps = fc.array(
  fc.record({
    device: fc.constantFrom("a", "b", "c"),
    ahead: fc.integer({ min: -40, max: 15 }),
    wait: fc.oneof(fc.nat(4), fc.nat(70)),
    value: fc.double({ min: -1e3, max: 1e3, noNaN: true }),
  }),
  { minLength: 1, maxLength: 60 },
);

function eventsOf(moves: readonly { device: string; ahead: number; wait: number; value: number }[], base: number): WindowEvent[] {
  let at = T0;
  let ts = base;
  return moves.map(({ device, ahead, wait, value }) => {
    at += wait;
    ts += 3;
    return { device, ts: ts + ahead, at, value: value + 0 };
  });
}

function send(job: Job, event: WindowEvent, seq: number): void {
  job.send({ seq, bootId: "b", ts: new Date(event.ts).toISOString(), tempC: event.value }, { key: `demo|${event.device}`, at: event.at });
}

function assertWindows(actual: readonly AggregateRecord[], expected: readonly ExpectedWindow[], sizeMs: number): void {
  const name = (device: string, start: number): string => `${device}/${start}`;
  const order = (a: string, b: string): number => (a < b ? -1 : 1);
  assert.deepEqual(
    actual.map(({ deviceId, window }) => name(deviceId, window.start)).sort(order),
    expected.map(({ device, start }) => name(device, start)).sort(order),
  );
  const byName = new Map(expected.map((window) => [name(window.device, window.start), window]));
  for (const { deviceId, window, metrics, final } of actual) {
    const { variance, ...rest } = statisticsOf((byName.get(name(deviceId, window.start)) as ExpectedWindow).values);
    const { variance: actualVariance, ...actualRest } = metrics.temperature_c;
    assert.deepEqual(actualRest, rest);
    assert.ok(Math.abs(actualVariance - variance) <= 1e-9 * Math.max(1, variance), `variance ${actualVariance}, not ${variance}`);
    assert.equal(window.end, window.start + sizeMs);
    assert.equal(final, true);
  }
}

for (const time of ["device", "partition"] as const) {
  test(`by ${time} time every final window is emitted once, with exactly the events that were not late`, async (t) => {
    await fc.assert(
      fc.asyncProperty(definition(time), steps, fc.constantFrom(T0, 1_000_000_000_000, -100), async (window, moves, base) => {
        const events = eventsOf(moves, base);
        const job = await Job.start(t, { windows: [window] });
        events.forEach((event, seq) => send(job, event, seq));
        const { emitted, late } = expectedWindows(events, window);
        assertWindows(job.aggregates(), emitted, window.sizeMs);
        assert.deepEqual(
          job.normalized().map((record) => record.flags.includes("late")),
          late,
        );
        const lateCounts = ["a", "b", "c"].map((device) => (job.hasLedger(`demo|${device}`) ? job.ledger(`demo|${device}`).late : 0));
        assert.deepEqual(
          lateCounts,
          ["a", "b", "c"].map((device) => events.filter((event, i) => event.device === device && late[i]).length),
        );
        await job.stop();
      }),
      { numRuns: 120 },
    );
  });
}

async function temporaryState(t: TestContext): Promise<{ engine: "level"; directory: string }> {
  const directory = await mkdtemp(`${tmpdir()}/sluice-windows-`);
  t.after(() => rm(directory, { recursive: true, force: true }));
  return { engine: "level", directory };
}

test("a restart in the middle changes no window", async (t) => {
  await fc.assert(
    fc.asyncProperty(definition("device"), steps, fc.nat(), async (window, moves, at) => {
      const events = eventsOf(moves, T0);
      const restart = at % events.length;
      const state = await temporaryState(t);
      const aggregates: AggregateRecord[] = [];
      let job = await Job.start(t, { windows: [window] }, { state });
      for (let seq = 0; seq < events.length; seq++) {
        if (seq === restart) {
          aggregates.push(...job.aggregates());
          await job.stop();
          job = await Job.start(t, { windows: [window] }, { state });
        }
        send(job, events[seq], seq);
      }
      aggregates.push(...job.aggregates());
      await job.stop();
      assertWindows(aggregates, expectedWindows(events, window).emitted, window.sizeMs);
    }),
    { numRuns: 12 },
  );
});

for (const time of ["device", "partition"] as const) {
  test(`by ${time} time records that come while the windows of before are being found change no window`, async (t) => {
    await fc.assert(
      fc.asyncProperty(definition(time), steps, fc.nat(), fc.nat(20), async (window, moves, at, unindexed) => {
        const events = eventsOf(moves, T0);
        const restart = at % events.length;
        // The test driver begins with stream time -1: an event of a device without windows sets it again.
        const clock = { device: "clock", ts: Math.max(...events.slice(0, restart).map((event) => event.ts), T0), value: 0 };
        events.splice(restart, 0, { ...clock, at: events[restart].at });
        const last = events[events.length - 1].at;
        const end = Math.max(...events.map((event) => event.ts)) + 1_000;
        for (const device of ["a", "b", "c", "clock"]) events.push({ device, ts: end, at: last + 1_000, value: 0 });

        const state = await temporaryState(t);
        const before = await Job.start(t, { windows: [window] }, { state });
        events.slice(0, restart).forEach((event, seq) => send(before, event, seq));
        const aggregates = before.aggregates();
        await before.stop();
        const after = await Job.start(t, { windows: [window] }, { state, background: "beside" });
        for (let seq = restart; seq < events.length; seq++) {
          if (seq === restart + 1 + unindexed || seq === events.length - 4) await after.driver.settled();
          send(after, events[seq], seq);
        }
        const { emitted, late } = expectedWindows(events, window);
        aggregates.push(...after.aggregates());
        assertWindows(aggregates, emitted, window.sizeMs);
        assert.deepEqual(
          after.normalized().map((record) => record.flags.includes("late")),
          late.slice(restart),
        );
        await after.stop();
      }),
      { numRuns: 40 },
    );
  });
}

test("several definitions side by side: late for one of them is flagged and counted once", async (t) => {
  const windows = [
    { sizeMs: 10, graceMs: 0 },
    { sizeMs: 1_000, graceMs: 0 },
    { sizeMs: 100, graceMs: 5, time: "partition" },
  ];
  const job = await Job.start(t, { windows });
  for (const [seq, ts] of [T0, T0 + 20, T0 + 1, T0 + 1_000].entries()) job.send({ bootId: "b", seq, ts, tempC: seq });
  assert.deepEqual(
    job.normalized().map((record) => record.flags),
    [[], [], ["late"], []],
  );
  assert.equal(job.ledger().late, 1);
  assert.deepEqual(
    job.aggregates().map(({ window, metrics }) => [window.end - window.start, metrics.temperature_c.count]),
    [
      [10, 1],
      [10, 1],
      [1_000, 3],
      [100, 3],
    ],
  );
});

test("by device time yesterday's upload gets its windows, and closes no neighbour's", async (t) => {
  const job = await Job.start(t);
  const yesterday = T0 - 86_400_000;
  job.send({ bootId: "b", seq: 1, ts: T0, tempC: 1 }, { key: "demo|now", at: T0 });
  for (let i = 0; i < 20; i++) job.send({ bootId: "b", seq: i, ts: yesterday + i * 10_000, tempC: i }, { key: "demo|gateway", at: T0 + i });
  const aggregates = job.aggregates();
  assert.ok(aggregates.every((record) => record.deviceId === "gateway"));
  assert.equal(aggregates.length, 16);
  assert.ok(job.normalized().every((record) => record.flags.length === 0));
});

test("a window that closed idle stays closed: a later record for it is late", async (t) => {
  const job = await Job.start(t, { windows: [{ sizeMs: 10_000, graceMs: 30_000, idleMs: 1_000 }] });
  job.send({ bootId: "b", seq: 1, ts: T0, tempC: 1 }, { at: T0 });
  job.send({ bootId: "b", seq: 1, ts: T0, tempC: 1 }, { key: "demo|other", at: T0 + 1_000 });
  assert.equal(job.aggregates().length, 1);
  job.send({ bootId: "b", seq: 2, ts: T0 + 1, tempC: 1 }, { at: T0 + 1_001 });
  assert.deepEqual(job.normalized()[2].flags, ["late"]);
  job.send({ bootId: "b", seq: 3, ts: T0 + 50_000, tempC: 1 }, { at: T0 + 3_000 });
  assert.deepEqual(
    job.aggregates().map((record) => record.deviceId),
    ["other"],
    "not emitted again when device time passes it",
  );
});

test("records that never reach the windows still let idle ones close", async (t) => {
  const job = await Job.start(t, { windows: [{ sizeMs: 10_000, idleMs: 5_000 }] });
  const event = { bootId: "b", seq: 1, ts: T0, tempC: 1 };
  job.send(event, { at: T0 });
  for (let i = 1; i <= 8; i++) job.send(i % 2 === 0 ? "garbage" : event, { at: T0 + i * 1_000 });
  assert.equal(job.aggregates().length, 1);
});

test("the wall clock closes windows of a silent partition only when processing.idleCloseMs says so", async (t) => {
  for (const idleCloseMs of [0, 2_000]) {
    for (const time of ["device", "partition"]) {
      const job = await Job.start(t, { processing: { idleCloseMs }, windows: [{ sizeMs: 10_000, time }] });
      job.send({ bootId: "b", seq: 1, ts: T0, tempC: 1 });
      for (let i = 0; i < 10; i++) job.driver.advanceWallClock(500);
      assert.equal(job.aggregates().length, idleCloseMs === 0 ? 0 : 1);
      job.send({ bootId: "b", seq: 2, ts: T0 + 1, tempC: 1 });
      assert.deepEqual(job.normalized()[1].flags, idleCloseMs === 0 ? [] : ["late"]);
      job.send({ bootId: "b", seq: 3, ts: T0 + 100_000, tempC: 1 });
      assert.equal(job.aggregates().length, idleCloseMs === 0 ? 1 : 0, "each window once");
    }
  }
});

test("duplicates move time, and are in no window", async (t) => {
  const job = await Job.start(t, { windows: [{ sizeMs: 10, graceMs: 0, time: "partition" }] });
  job.send({ bootId: "b", seq: 1, ts: T0, tempC: 1 });
  job.send({ bootId: "b", seq: 1, ts: T0 + 500, tempC: 1 });
  job.send({ bootId: "b", seq: 2, ts: T0 + 5, tempC: 1 });
  assert.deepEqual(job.normalized()[1].flags, ["late"]);
  assert.equal(job.aggregates()[0].metrics.temperature_c.count, 1);
});

test("metrics that come and go are aggregated by name", async (t) => {
  const job = await Job.start(t, { windows: [{ sizeMs: 10, graceMs: 0 }] });
  const readings = [{ x: 1 }, { y: 10 }, { x: 3, y: 20 }, { y: 30, x: 5 }, { z: 7 }];
  readings.forEach((reading, seq) => job.send({ bootId: "b", seq, ts: T0 + seq, ...reading }));
  job.send({ bootId: "b", seq: 9, ts: T0 + 10, x: 0 });
  const [{ metrics }] = job.aggregates();
  assert.deepEqual(
    Object.entries(metrics).map(([name, { count, sum }]) => [name, count, sum]),
    [
      ["x", 3, 9],
      ["y", 3, 60],
      ["z", 1, 7],
    ],
  );
});

test("variance is stable where sums of squares cancel, and huge values stay JSON", async (t) => {
  const job = await Job.start(t, { windows: [{ sizeMs: 100, graceMs: 0 }] });
  for (let seq = 0; seq < 10; seq++) job.send({ bootId: "b", seq, ts: T0 + seq, big: 1e9 + (seq % 2), huge: 1.7e308 });
  job.send({ bootId: "b", seq: 10, ts: T0 + 100, big: 1 });
  const [{ metrics }] = job.aggregates();
  assert.ok(Math.abs(metrics.big.variance - 0.25) < 1e-9);
  assert.deepEqual([metrics.huge.sum, metrics.huge.mean, metrics.huge.variance], [Number.MAX_VALUE, 1.7e308, 0]);
});
