/** What a failing or slow engine and a killed process must not do to state. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { CommittedRows } from "../../state/committed-rows.ts";
import { MemoryEngine } from "../../state/engines/memory.ts";
import type { EngineOp } from "../../state/engines/engine.ts";
import { StateError } from "../../state/errors.ts";
import { TaskState } from "../../state/task-state.ts";
import { runCommand } from "../support/run-command.ts";
import { counters, Harness } from "./task-state-harness.ts";
import { KILLED_ROWS, killedOptions } from "./task-state-killed.child.ts";

const DURABLE = ["level", "rocksdb"] as const;
const STORE_ID = Buffer.from([1]);
const positions: EngineOp = { key: Buffer.from([0, 3]), value: Buffer.from("positions") };

class FailingEngine extends MemoryEngine {
  failing = false;
  override async batch(ops: Iterable<EngineOp>): Promise<void> {
    const copies: EngineOp[] = [];
    for (const { key, value } of ops) copies.push({ key: Buffer.from(key), value: value && Buffer.from(value) });
    // Fails late, as a full disk does: rows may be committed meanwhile.
    await Promise.resolve();
    if (this.failing) throw new StateError("engine", "disk full");
    await super.batch(copies);
  }
}

function putRow(rows: CommittedRows, key: string, value: string | undefined): void {
  const bytes = Buffer.from(key + (value ?? ""));
  rows.put(0, bytes, 0, key.length, value === undefined ? -1 : key.length, value === undefined ? -1 : bytes.length);
}

test("rows of a checkpoint that failed stay in memory, newer ones win, and the next checkpoint has them all", async () => {
  const engine = new FailingEngine();
  await engine.open();
  const rows = new CommittedRows(engine, [STORE_ID], true);
  const found = (key: string): string | undefined =>
    rows.findInMemory(0, key) === true ? rows.foundBytes.toString("latin1", rows.foundStart, rows.foundEnd) : undefined;
  for (let i = 0; i < 2_000; i++) putRow(rows, `old-${i}`, "x".repeat(100));
  putRow(rows, "both", "older");
  putRow(rows, "deleted-later", "older");
  engine.failing = true;
  const failed = rows.checkpoint(positions);
  putRow(rows, "both", "newer");
  putRow(rows, "deleted-later", undefined);
  await assert.rejects(failed, { code: "engine" });
  putRow(rows, "after", "1");
  putRow(rows, "old-7", "a longer value that needs a new place in the slabs".repeat(5));
  assert.equal(found("both"), "newer");
  assert.equal(found("deleted-later"), undefined);
  assert.equal(found("old-1999"), "x".repeat(100));
  engine.failing = false;
  await rows.checkpoint(positions);
  assert.equal(rows.bytes, 0);
  const stored = new Map((await engine.read({ limit: 10_000 })).map(([key, value]) => [key.toString("latin1"), value.toString()]));
  assert.equal(stored.size, 2_000 + 3, "old rows, both, after, positions");
  assert.equal(stored.get("\x01both"), "newer");
  assert.equal(stored.get("\x01after"), "1");
  assert.equal(stored.get("\x01old-8"), "x".repeat(100));
  assert.match(stored.get("\x01old-7") ?? "", /^a longer/);
});

for (const engine of DURABLE)
  test(`building and writing a large checkpoint gives the event loop its turns, on ${engine}`, async (t) => {
    const harness = await Harness.make(t, engine, { cacheBytes: 1 << 30 });
    const store = harness.state.store(counters);
    for (let i = 0; i < 150_000; i++) store.put(`device-${i}`, { count: i, note: "some text of a usual length" });
    harness.commit();
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    t.after(() => clearInterval(timer));
    const before = performance.now();
    await harness.state.checkpoint();
    const tookMs = performance.now() - before;
    assert.ok(turns >= tookMs / 50, `${turns} turns in ${tookMs} ms`);
  });

for (const engine of DURABLE)
  test(`the next bulk may be restored while one is flushed, on ${engine}`, async (t) => {
    const harness = await Harness.make(t, engine);
    const restore = (from: number, to: number, count: number): void => {
      for (let i = from; i < to; i++) {
        const key = `device-${i}`;
        const bytes = Buffer.concat([Buffer.from(key), Buffer.from([1, count, 0])]);
        harness.state.restore("counters", bytes, 0, key.length, key.length, bytes.length);
      }
    };
    restore(0, 20_000, 1);
    const first = harness.state.flushRestored(new Map([["counters", 20_000]]));
    restore(10_000, 30_000, 2);
    await first;
    assert.equal(harness.state.checkpointPosition("counters"), 20_000);
    await harness.state.flushRestored(new Map([["counters", 40_000]]));
    assert.equal(harness.state.restoredBytes, 0);
    const page = await harness.state.scanCommitted("counters", { limit: 100_000 });
    const sum = page.reduce((total, [, value]) => total + (value as { count: number }).count, 0);
    assert.deepEqual([page.length, sum], [30_000, 10_000 + 2 * 20_000]);
  });

/** Kills per run; each is at a random moment within a checkpoint's usual time. */
const KILLS = 6;
const CHILD = new URL("./task-state-killed.child.ts", import.meta.url).pathname;

for (const engine of DURABLE)
  test(`kill -9 within a checkpoint leaves the one before or the whole new one, never a part, on ${engine}`, async (t) => {
    const directory = await mkdtemp(join(tmpdir(), "sluice-killed-"));
    t.after(() => rm(directory, { recursive: true, force: true }));
    let last = 0;
    for (let kill = 0; kill < KILLS; kill++) {
      const child = spawn(process.execPath, [CHILD, directory, engine], { stdio: ["ignore", "pipe", "inherit"] });
      const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
      let confirmed = last;
      for await (const line of createInterface({ input: child.stdout })) {
        if (line.startsWith("done ")) confirmed = Number(line.slice(5));
        if (line.startsWith("start ") && confirmed > last) setTimeout(() => child.kill("SIGKILL"), Math.random() * 60);
      }
      await exited;
      assert.equal(child.signalCode, "SIGKILL");
      const state = await TaskState.open(killedOptions(directory, engine));
      const round = state.checkpointPosition("counters") ?? 0;
      assert.ok(round >= confirmed, `checkpoint ${confirmed} was confirmed, ${round} is there`);
      const rows = await state.scanCommitted("counters", { limit: KILLED_ROWS + 1 });
      assert.equal(rows.length, KILLED_ROWS);
      assert.deepEqual(new Set(rows.map(([, value]) => (value as { count: number }).count)), new Set([round]));
      await state.close();
      last = round;
    }
  });

const LOCKED_CHILD = new URL("./state-locked.child.ts", import.meta.url).pathname;

for (const engine of DURABLE)
  test(`a second process is refused a directory in use, in words that name it, and may have it afterwards, on ${engine}`, async (t) => {
    const directory = await mkdtemp(join(tmpdir(), "sluice-locked-"));
    t.after(() => rm(directory, { recursive: true, force: true }));
    const second = async (): Promise<string> =>
      (await runCommand(process.execPath, [LOCKED_CHILD, directory, engine], { timeoutMs: 30_000 })).stdout.toString();
    const state = await TaskState.open(killedOptions(directory, engine));
    const refused = await second();
    assert.ok(refused.startsWith(`locked: the state in ${directory}`), refused);
    assert.match(refused, / is in use by another process$/m);
    await state.close();
    assert.equal(await second(), "opened\n");
  });
