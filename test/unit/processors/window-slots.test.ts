/** Which rows of windows a device has in the store, and what the changelog gets of them: state/README.md, processors/open-windows.ts. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import fc from "fast-check";
import { deviceRowStore } from "../../../processors/device-row.ts";
import type { WindowRow } from "../../../processors/window-row.ts";
import { ByteWriter } from "../../../state/byte-writer.ts";
import { decodeValue, ROW_FORMAT_VERSION } from "../../../state/row-format.ts";
import { TaskState } from "../../../state/task-state.ts";
import { goldenTopology, SETTINGS, type GoldenRow } from "../../golden/row-views.ts";
import { Job, T0 } from "./support/job.ts";

const SIZE_MS = 10_000;
const CHANGELOG = `test-windows-device-${SIZE_MS}-changelog`;

/** Writes since the last call, oldest first: the hexadecimal key, and whether it was deleted. */
function writes(job: Job): { key: string; deleted: boolean }[] {
  job.driver.commit();
  return job.driver.output(CHANGELOG).map(({ key, value }) => ({ key: key?.toString("hex") ?? "", deleted: value === null }));
}

test("a device on its way has one write a window, no deletion, and as many rows as windows are open beside the latest", async (t) => {
  for (const [graceMs, rows] of [
    [30_000, 3],
    [5_000, 1],
    [34_000, 4],
  ] as const) {
    const job = await Job.start(t, { windows: [{ sizeMs: SIZE_MS, graceMs }] });
    const all: { key: string; deleted: boolean }[] = [];
    for (let second = 0; second < 200; second++) {
      job.send({ bootId: "b", seq: second, ts: T0 + second * 1_000, tempC: second }, { at: T0 + second * 1_000 });
      all.push(...writes(job));
    }
    assert.equal(all.length, 19, `grace ${graceMs}`);
    assert.deepEqual([all.some(({ deleted }) => deleted), new Set(all.map(({ key }) => key)).size], [false, rows], `grace ${graceMs}`);
    await job.stop();
  }
});

const step = fc.record({
  device: fc.constantFrom("a", "b"),
  ahead: fc.integer({ min: -45_000, max: 25_000 }),
  wait: fc.oneof(fc.nat(4_000), fc.nat(90_000)),
  commits: fc.boolean(),
});

test("whatever comes, the store has the rows of the open windows and at most one spare a device, and none when all are closed", async (t) => {
  const window = fc.record({ graceMs: fc.constantFrom(0, 4_000, 30_000), idleMs: fc.constantFrom(5_000, 60_000) });
  await fc.assert(
    fc.asyncProperty(window, fc.array(step, { minLength: 1, maxLength: 60 }), async ({ graceMs, idleMs }, steps) => {
      const job = await Job.start(t, { processing: { idleCloseMs: 1_000 }, windows: [{ sizeMs: SIZE_MS, graceMs, idleMs }] });
      const live = new Set<string>();
      const apply = (): void => {
        for (const { key, deleted } of writes(job)) {
          if (deleted) live.delete(key);
          else live.add(key);
        }
      };
      const rowsOf = (device: string): number => {
        const prefix = Buffer.from(`demo|${device}`).toString("hex");
        return [...live].filter((key) => key.startsWith(prefix)).length;
      };
      let [at, ts] = [T0, T0];
      for (const [seq, { device, ahead, wait, commits }] of steps.entries()) {
        at += wait;
        ts += 3_000;
        job.send({ seq, bootId: "b", ts: ts + ahead, tempC: seq }, { key: `demo|${device}`, at });
        if (!commits) continue;
        apply();
        for (const name of ["a", "b"]) {
          const windows = job.driver.store(deviceRowStore).get(`demo|${name}`)?.windowsOf(SIZE_MS);
          let stored = 0;
          for (let i = 0; i < (windows?.count ?? 0); i++) if (windows?.isStub(i) === false) stored++;
          const spare = (windows?.spareSlot ?? -1) >= 0 ? 1 : 0;
          assert.ok(spare === 0 || windows?.latest !== undefined, "a spare row without a window that could take its slot");
          assert.equal(rowsOf(name), stored + spare);
        }
      }
      for (let i = 0; i < 8; i++) job.driver.advanceWallClock(500);
      apply();
      assert.deepEqual([...live], [], "all windows are closed");
      await job.stop();
    }),
    { numRuns: 150 },
  );
});

test("a spare row goes with the latest window when what closes both begins none", async (t) => {
  const job = await Job.start(t, { windows: [{ sizeMs: SIZE_MS, graceMs: 5_000 }] });
  const send = (seq: number, second: number): void => job.send({ bootId: "b", seq, ts: T0 + second * 1_000, tempC: seq });
  send(0, 1);
  send(1, 11);
  send(2, 16); // the first window has closed, and its slot is spare
  assert.deepEqual(
    writes(job).map(({ deleted }) => deleted),
    [false],
  );
  send(2, 90); // a duplicate moves the device's time
  send(3, 17); // and this one is late
  assert.deepEqual(
    writes(job).map(({ deleted }) => deleted),
    [true],
  );
  assert.equal(job.aggregates().length, 2);
});

const DEVICE = Buffer.from("demo|gerät-1").toString("hex");
const WINDOWS = `windows-device-${SIZE_MS}`;

/** The job with the state of demo|gerät-1 from a golden file, as of the commit at which two of its windows were open. */
async function jobOf(t: TestContext, file: string, changed: (row: GoldenRow) => string | undefined = ({ value }) => value): Promise<Job> {
  const directory = await mkdtemp(join(tmpdir(), "sluice-slots-"));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const [subtopology] = goldenTopology().subtopologies;
  const state = await TaskState.open({
    directory: join(directory, `${subtopology.id}_0`),
    engine: "level",
    stores: subtopology.stores,
    cacheBytes: 1 << 20,
    identity: `test/${subtopology.id}_0`,
  });
  const seen = new Set<string>();
  for (const line of readFileSync(new URL(`../../golden/${file}`, import.meta.url), "utf8")
    .trim()
    .split("\n")) {
    const row = JSON.parse(line) as GoldenRow;
    const { store, key } = row;
    const isOurs = (store === "ledger" && key === DEVICE) || (store === WINDOWS && key.startsWith(DEVICE));
    if (!isOurs || seen.has(store)) continue;
    seen.add(store);
    const value = changed(row);
    const bytes = Buffer.from(key + (value ?? ""), "hex");
    if (value !== undefined) state.restore(store, bytes, 0, key.length / 2, key.length / 2, bytes.length);
  }
  assert.equal(seen.size, 2);
  await state.flushRestored(new Map(subtopology.stores.map(({ name }) => [name, 1])));
  await state.close();
  return Job.start(t, SETTINGS, { state: { engine: "level", directory } });
}

function sendOn(job: Job, readings: readonly (readonly [seq: number, second: number])[]): void {
  for (const [seq, second] of readings) {
    const at = T0 + second * 1_000;
    job.send({ bootId: "b2", seq, ts: at, tempC: 1 }, { key: "demo|gerät-1", at });
  }
}

/** Seconds at which they began, and how many readings they have. */
function closed(job: Job): [number, number][] {
  return job
    .aggregates()
    .filter(({ window }) => window.end - window.start === SIZE_MS)
    .map(({ window, metrics }) => [(window.start - T0) / 1_000, metrics.temperature_c.count]);
}

const CLOSING_BOTH = [
  [12, 16],
  [13, 21],
  [14, 26],
] as const;

test("windows that a version without slots left open are aggregated on, closed and deleted", async (t) => {
  const job = await jobOf(t, "rows-v2.jsonl");
  sendOn(job, [[3, 9], ...CLOSING_BOTH]);
  assert.deepEqual(closed(job), [
    [0, 7], // six readings of before
    [10, 2], // one of before
  ]);
  const keys = writes(job);
  assert.deepEqual(
    keys.filter(({ deleted }) => deleted).map(({ key }) => key.slice(0, DEVICE.length)),
    [DEVICE],
  );
  assert.ok(
    keys.some(({ key, deleted }) => !deleted && key === `${DEVICE}${"00".repeat(8)}`),
    "the next one has slot 0",
  );
});

test("windows with slots go on after a restart", async (t) => {
  const job = await jobOf(t, "rows-v3.jsonl");
  sendOn(job, [[3, 9], ...CLOSING_BOTH]);
  assert.deepEqual(closed(job), [
    [0, 7],
    [10, 2],
  ]);
  assert.ok(writes(job).every(({ deleted }) => !deleted));
  assert.equal(job.driver.counted("lost", "window"), 0);
});

test("at least once, a crash may leave a device's row without a window's: no other window's numbers come in its place", async (t) => {
  const spec = goldenTopology().subtopologies[0].stores.find(({ name }) => name === WINDOWS);
  assert.ok(spec !== undefined);
  const before = (row: GoldenRow): string => {
    const bytes = Buffer.from(row.value, "hex");
    const window = decodeValue(spec.value, WINDOWS, bytes, 0, bytes.length) as WindowRow;
    window.start -= SIZE_MS;
    const out = new ByteWriter();
    out.u8(ROW_FORMAT_VERSION);
    spec.value.write(window, out);
    return out.toBuffer().toString("hex");
  };
  for (const left of [() => undefined, before]) {
    const row = (golden: GoldenRow): string | undefined => (golden.store === WINDOWS ? left(golden) : golden.value);
    const silent = await jobOf(t, "rows-v3.jsonl", row);
    sendOn(silent, CLOSING_BOTH);
    assert.deepEqual(closed(silent), [[10, 2]], "what is lost of a window is not made up");
    silent.driver.commit();
    assert.equal(silent.driver.counted("lost", "window"), 1);
    const goesOn = await jobOf(t, "rows-v3.jsonl", row);
    sendOn(goesOn, [[3, 9], ...CLOSING_BOTH]);
    assert.deepEqual(closed(goesOn), [
      [0, 1], // what came after
      [10, 2],
    ]);
    goesOn.driver.commit();
    assert.equal(goesOn.driver.counted("lost", "window"), 1);
  }
});
