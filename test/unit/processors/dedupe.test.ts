import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Job, KEY, T0 } from "./support/job.ts";

/** Windows play no part here. */
const NO_WINDOWS = { windows: [] };

interface Sent {
  readonly device: number;
  readonly boot: number;
  readonly seq: number;
}

/** A device's life: boots of growing seq with gaps; then copies and displacements within the stream. */
const life = fc.record({
  boots: fc.array(fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 25 }), { minLength: 1, maxLength: 4 }),
  copies: fc.array(fc.tuple(fc.nat(), fc.nat()), { maxLength: 20 }),
  swaps: fc.array(fc.tuple(fc.nat(), fc.integer({ min: 1, max: 5 })), { maxLength: 10 }),
});

function streamOf(
  device: number,
  { boots, copies, swaps }: { boots: number[][]; copies: [number, number][]; swaps: [number, number][] },
): Sent[] {
  const sent: Sent[] = boots.flatMap((steps, boot) => {
    let seq = -1;
    return steps.map((step) => ({ device, boot, seq: (seq += step) }));
  });
  for (const [at, by] of swaps) {
    const from = at % sent.length;
    const to = Math.min(sent.length - 1, from + by);
    [sent[from], sent[to]] = [sent[to], sent[from]];
  }
  for (const [at, after] of copies) {
    const from = at % sent.length;
    sent.splice(from + 1 + (after % (sent.length - from)), 0, sent[from]);
  }
  return sent;
}

/** What the ledger must say, counted from whole sets of ids. */
function expected(stream: readonly Sent[]): object {
  const seen = new Map<number, Set<number>>();
  let duplicates = 0;
  let outOfOrder = 0;
  for (const { boot, seq } of stream) {
    const known = seen.get(boot) ?? new Set<number>();
    seen.set(boot, known);
    if (known.has(seq)) duplicates++;
    else if (seq < Math.max(-1, ...known)) outOfOrder++;
    known.add(seq);
  }
  const sets = [...seen.values()];
  return {
    received: sets.reduce((sum, set) => sum + set.size, 0),
    duplicates,
    outOfOrder,
    gapsOpen: sets.reduce((sum, set) => sum + Math.max(...set) - Math.min(...set) + 1 - set.size, 0),
    reboots: seen.size - 1,
    lost: 0,
    withoutIdentity: 0,
  };
}

test("with bootId and seq: exactly the distinct events pass, in order of arrival, and every count is exact", async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(life, { minLength: 1, maxLength: 3 }), async (lives) => {
      const job = await Job.start(t, NO_WINDOWS);
      const streams = lives.map((each, device) => streamOf(device, each));
      const ids = new Set<string>();
      const distinct: string[] = [];
      for (let i = 0; streams.some((stream) => i < stream.length); i++)
        for (const stream of streams) {
          if (i >= stream.length) continue;
          const { device, boot, seq } = stream[i];
          job.send({ bootId: `b${boot}`, seq, ts: T0 + i, tempC: 1 }, { key: `demo|d${device}`, at: T0 + i });
          const id = `d${device}/b${boot}/${seq}`;
          if (!ids.has(id)) distinct.push(id);
          ids.add(id);
        }
      assert.deepEqual(
        job.normalized().map((record) => [record.deviceId, record.bootId, record.seq].join("/")),
        distinct,
      );
      streams.forEach((stream, device) => {
        const { received, duplicates, outOfOrder, gapsOpen, reboots, lost, withoutIdentity } = job.ledger(`demo|d${device}`);
        assert.deepEqual({ received, duplicates, outOfOrder, gapsOpen, reboots, lost, withoutIdentity }, expected(stream));
      });
      await job.stop();
    }),
    { numRuns: 40 },
  );
});

/** Boots that begin with seq 0, reordered within themselves but for their first event; copies come at any time after. */
const bootsWithoutId = fc.record({
  boots: fc.array(
    fc.record({
      steps: fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 25 }),
      swaps: fc.array(fc.tuple(fc.nat(), fc.integer({ min: 1, max: 5 })), { maxLength: 6 }),
    }),
    { minLength: 1, maxLength: 4 },
  ),
  copies: fc.array(fc.tuple(fc.nat(), fc.nat()), { maxLength: 20 }),
});

test("without bootId: restarts after a time jump are told from copies and reordering, exactly", async (t) => {
  await fc.assert(
    fc.asyncProperty(bootsWithoutId, async ({ boots, copies }) => {
      const job = await Job.start(t, NO_WINDOWS);
      const firsts = boots.flatMap(({ steps, swaps }, boot) => {
        const rest = streamOf(0, { boots: [steps.length === 0 ? [1] : steps], copies: [], swaps }).map(({ seq }) => ({
          device: 0,
          boot,
          seq: seq + 1,
        }));
        return [{ device: 0, boot, seq: 0 }, ...rest];
      });
      const stream = [...firsts];
      for (const [at, after] of copies) {
        const from = at % stream.length;
        stream.splice(from + 1 + (after % (stream.length - from)), 0, stream[from]);
      }
      // Each boot begins a minute after the last began; within one, ts goes with seq.
      stream.forEach(({ boot, seq }, i) => job.send({ seq, ts: T0 + boot * 60_000 + seq * 100, tempC: 1 }, { at: T0 + 300_000 + i }));
      assert.deepEqual(
        job.normalized().map((record) => record.ts),
        firsts.map(({ boot, seq }) => T0 + boot * 60_000 + seq * 100),
      );
      const { reboots, duplicates, gapsOpen } = job.ledger();
      const { gapsOpen: gaps } = expected(firsts) as { gapsOpen: number };
      assert.deepEqual([reboots, duplicates, gapsOpen], [boots.length - 1, copies.length, gaps]);
      await job.stop();
    }),
    { numRuns: 80 },
  );
});

test("the tutorial's publisher, started again five seconds later, is a reboot; its messages are no duplicates", async (t) => {
  const job = await Job.start(t, NO_WINDOWS);
  for (let run = 0; run < 3; run++)
    for (let seq = 0; seq < 20; seq++) {
      const event = { deviceId: "d1", ts: T0 + run * 25_000 + seq * 1_000, seq, tempC: 20 + seq, rpm: 1200 };
      job.send(event, { at: event.ts + 40 });
      if (seq % 5 === 0) job.send(event, { at: event.ts + 41 });
    }
  assert.equal(job.normalized().length, 60);
  const ledger = job.ledger();
  assert.deepEqual([ledger.received, ledger.duplicates, ledger.reboots, ledger.gapsOpen], [60, 12, 2, 0]);
  assert.deepEqual(
    ledger.boots.map((boot) => [boot.bootId, boot.implicit, boot.intervals]),
    [
      ["2", true, [[0, 19]]],
      ["1", true, [[0, 19]]],
      ["0", true, [[0, 19]]],
    ],
  );
});

test("without bootId: a copy that comes days later is a duplicate, of whichever kept boot it is", async (t) => {
  const job = await Job.start(t, NO_WINDOWS);
  for (const start of [0, 100_000])
    for (let seq = 0; seq < 10; seq++) job.send({ seq, ts: T0 + start + seq * 10, tempC: 1 }, { at: T0 + start + seq * 10 });
  job.send({ seq: 3, ts: T0 + 30, tempC: 1 }, { at: T0 + 200_000_000 });
  job.send({ seq: 3, ts: T0 + 100_030, tempC: 1 });
  assert.equal(job.normalized().length, 20);
  assert.deepEqual([job.ledger().duplicates, job.ledger().reboots], [2, 1]);
});

test("without bootId: a seq that wraps far back is a restart even without a pause", async (t) => {
  const job = await Job.start(t, NO_WINDOWS);
  for (let i = 0; i < 3_000; i++) job.send({ seq: i % 2_000, ts: T0 + i * 10, tempC: 1 }, { at: T0 + i * 10 });
  assert.equal(job.normalized().length, 3_000);
  assert.equal(job.ledger().reboots, 1);
});

test("without bootId: a clock that starts at 1970 after a restart loses nothing", async (t) => {
  const job = await Job.start(t, NO_WINDOWS);
  for (let seq = 0; seq < 10; seq++) job.send({ seq, ts: T0 + seq * 100, tempC: 1 }, { at: T0 + seq * 100 });
  for (let seq = 0; seq < 5; seq++) job.send({ seq, ts: seq * 0.1, tempC: 1 }, { at: T0 + 20_000 + seq * 100 });
  for (let seq = 5; seq < 15; seq++) job.send({ seq, ts: T0 + 20_000 + seq * 100, tempC: 1 }, { at: T0 + 20_000 + seq * 100 });
  assert.equal(job.normalized().length, 25);
  assert.equal(job.ledger().duplicates, 0);
});

test("without bootId and ts: a copy is a duplicate, and only a far lower seq after silence is a restart", async (t) => {
  const job = await Job.start(t, NO_WINDOWS);
  for (let seq = 0; seq < 1_500; seq++) job.send({ seq, tempC: 1 }, { at: T0 + seq });
  job.send({ seq: 100, tempC: 1 }, { at: T0 + 2_000 });
  job.send({ seq: 1_490, tempC: 1 }, { at: T0 + 100_000 });
  assert.deepEqual([job.normalized().length, job.ledger().duplicates, job.ledger().reboots], [1_500, 2, 0]);
  job.send({ seq: 0, tempC: 1 }, { at: T0 + 200_000 });
  job.send({ seq: 1, tempC: 1 }, { at: T0 + 200_001 });
  assert.deepEqual([job.normalized().length, job.ledger().duplicates, job.ledger().reboots], [2, 2, 1]);
});

test("a clock-ahead event and its copy are one event, and no restart", async (t) => {
  const job = await Job.start(t, NO_WINDOWS);
  job.send({ seq: 1, ts: T0, tempC: 1 }, { at: T0 });
  for (const at of [T0 + 10, T0 + 60_000]) job.send({ seq: 2, ts: T0 + 999_999_999, tempC: 1 }, { at });
  job.send({ seq: 3, ts: T0 + 70_000, tempC: 1 }, { at: T0 + 70_000 });
  assert.deepEqual([job.normalized().length, job.ledger().duplicates, job.ledger().reboots], [3, 1, 0]);
});

test("beyond the boots that are kept: the gaps of the one silent longest are lost, its stragglers pass, flagged and counted", async (t) => {
  const job = await Job.start(t, { ...NO_WINDOWS, dedupe: { boots: 2 } });
  for (const seq of [0, 1, 5]) job.send({ bootId: "a", seq, tempC: 1 }, { at: T0 });
  job.send({ bootId: "b", seq: 0, tempC: 1 }, { at: T0 + 1 });
  job.send({ bootId: "c", seq: 0, tempC: 1 }, { at: T0 + 2 });
  assert.deepEqual([job.ledger().lost, job.ledger().reboots, job.ledger().gapsOpen], [3, 2, 0]);
  job.normalized();
  job.send({ bootId: "a", seq: 5, tempC: 1 }, { at: T0 + 3 });
  assert.deepEqual(job.normalized()[0].flags, ["no-identity", "no-ts"]);
  const ledger = job.ledger();
  assert.deepEqual([ledger.withoutIdentity, ledger.reboots, ledger.received], [1, 2, 6]);
  assert.deepEqual(
    ledger.boots.map((boot) => boot.bootId),
    ["c", "b"],
  );
});

test("beyond the intervals that are kept: the lowest gap is given up as lost", async (t) => {
  const job = await Job.start(t, { ...NO_WINDOWS, dedupe: { intervalsPerBoot: 3 } });
  for (const seq of [0, 10, 20, 30]) job.send({ bootId: "a", seq, tempC: 1 });
  const ledger = job.ledger();
  assert.deepEqual([ledger.lost, ledger.gapsOpen, ledger.received], [9, 18, 4]);
  assert.deepEqual(ledger.boots[0].intervals, [
    [0, 10],
    [20, 20],
    [30, 30],
  ]);
});

test("two tenants may have devices of one id", async (t) => {
  const job = await Job.start(t, NO_WINDOWS);
  for (const key of ["a|d1", "b|d1"]) job.send({ bootId: "x", seq: 1, tempC: 1 }, { key });
  assert.equal(job.normalized().length, 2);
});

test("a number and its text name the same boot", async (t) => {
  const job = await Job.start(t, NO_WINDOWS);
  job.send({ bootId: 7, seq: 1, tempC: 1 });
  job.send({ bootId: "7", seq: 1, tempC: 1 });
  assert.equal(job.normalized().length, 1);
});

test("without seq: the message id decides, then bytes and ts; with neither an event passes, flagged", async (t) => {
  const job = await Job.start(t, NO_WINDOWS);
  const uuid = "6f9619ff-8b86-d011-b42d-00c04fc964ff";
  const events: [string, object, Record<string, string>, number][] = [
    ["messageId", { messageId: "m1", ts: T0, tempC: 1 }, {}, 1],
    ["messageId again, other content", { messageId: "m1", ts: T0 + 1, tempC: 2 }, {}, 0],
    ["id as UUID", { id: uuid, ts: T0, tempC: 1 }, {}, 1],
    ["id again", { id: uuid, ts: T0, tempC: 1 }, {}, 0],
    ["the sensor's own UUID, later", { id: uuid, ts: T0 + 1, tempC: 1 }, {}, 1],
    ["header", { tempC: 1 }, { "message-id": "h1" }, 1],
    ["header again", { tempC: 1 }, { "message-id": "h1" }, 0],
    ["id that is no UUID: bytes and ts", { id: "sensor-1", ts: T0, tempC: 1 }, {}, 1],
    ["the same bytes", { id: "sensor-1", ts: T0, tempC: 1 }, {}, 0],
    ["other bytes", { id: "sensor-1", ts: T0, tempC: 2 }, {}, 1],
    ["neither", { tempC: 5 }, {}, 1],
    ["neither, again", { tempC: 5 }, {}, 1],
  ];
  for (const [name, payload, headers, passes] of events) {
    job.send(payload, { headers });
    const records = job.normalized();
    assert.equal(records.length, passes, name);
    if (name.startsWith("neither")) assert.deepEqual(records[0].flags, ["no-identity", "no-ts"]);
  }
  assert.deepEqual([job.ledger().withoutIdentity, job.ledger().duplicates], [2, 4]);
});

test("without seq: events of batches are told apart one by one, over batches too", async (t) => {
  const job = await Job.start(t, NO_WINDOWS);
  const [a, b, c] = [1, 2, 3].map((tempC) => ({ ts: T0, tempC }));
  job.send([a, b, a]);
  job.send([b, c]);
  assert.deepEqual(
    job.normalized().map((record) => record.metrics.temperature_c),
    [1, 2, 3],
  );
});

test("an id is forgotten when its time is up, in receive time", async (t) => {
  const job = await Job.start(t, { ...NO_WINDOWS, dedupe: { retentionMs: 1_000 } });
  for (const at of [0, 1_000, 2_300]) job.send({ messageId: "m", tempC: 1 }, { at: T0 + at });
  assert.equal(job.normalized().length, 2);
});

test("a device's row goes after its idle time, in receive time, and not before", async (t) => {
  const { mkdtemp, rm } = await import("node:fs/promises");
  const { tmpdir } = await import("node:os");
  const directory = await mkdtemp(`${tmpdir()}/sluice-idle-`);
  t.after(() => rm(directory, { recursive: true, force: true }));
  const options = { state: { engine: "level", directory } } as const;
  const settings = { ...NO_WINDOWS, dedupe: { idleMs: 1_000 } };
  const before = await Job.start(t, settings, options);
  before.send({ bootId: "a", seq: 1, tempC: 1 }, { at: T0 });
  before.send({ bootId: "a", seq: 1, tempC: 1 }, { at: T0 + 1_000 });
  assert.equal(before.ledger().duplicates, 1, "a duplicate keeps its device");
  await before.stop();
  const job = await Job.start(t, settings, options);
  for (const { at, isThere } of [
    { at: 1_500, isThere: true },
    { at: 2_000, isThere: true },
    { at: 2_001, isThere: true },
    { at: 2_250, isThere: true },
    { at: 2_251, isThere: false },
  ]) {
    job.send({ seq: at, tempC: 1 }, { key: "demo|other", at: T0 + at });
    assert.equal(job.hasLedger(KEY), isThere, `at ${at}: a pass every eighth of the idle time`);
    await job.driver.settled();
  }
  assert.ok(job.hasLedger("demo|other"));
});

test("an idle device that comes back before it was found begins anew", async (t) => {
  const job = await Job.start(t, { ...NO_WINDOWS, dedupe: { idleMs: 1_000 } });
  job.send({ bootId: "a", seq: 1, tempC: 1 }, { at: T0 });
  job.send({ bootId: "a", seq: 1, tempC: 1 }, { at: T0 + 1_001 });
  assert.equal(job.normalized().length, 2);
  assert.equal(job.ledger().received, 1);
});

test("what dedupe knows survives a restart", async (t) => {
  const { mkdtemp, rm } = await import("node:fs/promises");
  const { tmpdir } = await import("node:os");
  const directory = await mkdtemp(`${tmpdir()}/sluice-dedupe-`);
  t.after(() => rm(directory, { recursive: true, force: true }));
  const state = { engine: "level", directory } as const;
  const events = [
    { bootId: "a", seq: 1, ts: T0, tempC: 1 },
    { seq: 1, ts: T0 + 5, tempC: 1 },
    { messageId: "m", tempC: 1 },
  ];
  const before = await Job.start(t, NO_WINDOWS, { state });
  for (let i = 0; i < 10; i++) before.send({ seq: 0, tempC: 1 }, { key: "demo|filler" });
  for (const event of events) before.send(event);
  const ledger = before.ledger();
  await before.stop();
  const after = await Job.start(t, NO_WINDOWS, { state });
  assert.deepEqual(after.ledger(), ledger);
  // The test driver counts offsets from 0 again: past those of the first run they are new records.
  for (let i = 0; i < 20; i++) after.send({ seq: 0, tempC: 1 }, { key: "demo|filler2" });
  after.normalized();
  for (const event of events) after.send(event);
  assert.equal(after.normalized().length, 0);
  assert.equal(after.ledger().duplicates, ledger.duplicates + 3);
});

test("a record that is read again because its commit did not finish is not its own duplicate (KAFKA-9891)", async (t) => {
  const { mkdtemp, rm } = await import("node:fs/promises");
  const { tmpdir } = await import("node:os");
  const directory = await mkdtemp(`${tmpdir()}/sluice-reread-`);
  t.after(() => rm(directory, { recursive: true, force: true }));
  const state = { engine: "level", directory } as const;
  const events = [
    [{ bootId: "a", seq: 1, tempC: 1 }],
    [
      { bootId: "a", seq: 2, tempC: 1 },
      { bootId: "a", seq: 2, tempC: 1 },
    ],
    [{ messageId: "m", tempC: 1 }],
  ];
  const before = await Job.start(t, NO_WINDOWS, { state });
  for (const event of events) before.send(event);
  assert.equal(before.normalized().length, 3);
  await before.stop();
  // A new driver starts at offset 0: the very same records.
  const after = await Job.start(t, NO_WINDOWS, { state });
  for (const event of events) after.send(event);
  assert.ok(after.normalized().length >= 3);
  assert.equal(after.ledger().received, 3);
});
