/** Local state that is damaged, newer than the program, or long abandoned. */
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { pino } from "pino";
import { MAX_ABANDONED_MS, StateCleaner } from "../../../runtime/state-cleaner.ts";
import { TaskDirectories } from "../../../runtime/task-directories.ts";
import { createEngine } from "../../../state/engines/create-engine.ts";
import type { EngineName } from "../../../state/engines/engine.ts";
import { waitUntilDrained } from "../../support/telemetry.ts";
import { tempDir } from "../../support/temp-dir.ts";
import { waitFor } from "../../support/wait-for.ts";
import { assertExact, metricOf, setUp, type Setup } from "./support/counting-worker.ts";

const KEYS = 2_000;
const ENGINES = [
  { engine: "level", folder: "", table: /\.ldb$/ },
  { engine: "rocksdb", folder: "rocksdb", table: /\.sst$/ },
] as const;

/** Runs a worker until it has processed what is there. */
async function run(setup: Setup): Promise<number> {
  const worker = setup.worker();
  await worker.start();
  await waitFor("the worker runs", () => worker.state === "RUNNING");
  await waitUntilDrained(setup.log, "app", "in");
  const records = await metricOf(worker, "sluice_restored_records_total");
  await worker.stop();
  assert.equal(worker.state, "NOT_RUNNING");
  return records;
}

for (const { engine, folder, table } of ENGINES) {
  test(`damaged files cost one task a rebuild, and no other replays anything, on ${engine}`, async (t) => {
    const setup = await setUp(t, { engine });
    await setup.feed(20, 30);
    await run(setup);
    const directory = join(setup.stateDir, "app", "0_1", folder);
    const manifest = readdirSync(directory).find((name) => name.startsWith("MANIFEST")) ?? "";
    writeFileSync(join(directory, manifest), "these are no records");
    await setup.feed(20, 10);
    const records = await run(setup);
    assert.ok(records > 0 && records <= 5 * 30, `${records} records of the 600 or fewer`);
    await assertExact(setup, 20, 40);
  });

  test(`blocks that turn out garbled while the task runs cost it a rebuild, and nothing is lost or doubled, on ${engine}`, async (t) => {
    const setup = await setUp(t, { engine, padding: 6_000 });
    await setup.feed(KEYS, 2);
    await run(setup);
    await run(setup); // what was in the write-ahead log goes into tables
    const directory = join(setup.stateDir, "app", "0_1", folder);
    const tables = readdirSync(directory).filter((name) => table.test(name));
    assert.ok(tables.length > 0);
    for (const name of tables) {
      const bytes = readFileSync(join(directory, name));
      bytes.fill(0x11, Math.floor(bytes.length * 0.3), Math.floor(bytes.length * 0.9)); // it opens: meta rows, index and footer stay
      writeFileSync(join(directory, name), bytes);
    }
    await setup.feed(KEYS, 1);
    assert.ok((await run(setup)) >= KEYS / 4);
    await assertExact(setup, KEYS, 3);
  });
}

test("rows of a newer version stop the worker with their reason, and stay", async (t) => {
  const setup = await setUp(t);
  await setup.feed(20, 3);
  await run(setup);
  const engine = createEngine("level", join(setup.stateDir, "app", "0_1"));
  await engine.open();
  const rows = (await engine.read({ from: Buffer.from([1]), limit: 100 })).map(([key, value]) => ({ key, value: Buffer.from(value) }));
  for (const { value } of rows) value[0] = 9;
  await engine.batch(rows);
  await engine.close();
  await setup.feed(20, 1);
  const worker = setup.worker();
  await worker.start();
  await assert.rejects(worker.finished, /row format of version 9.*a newer one wrote it/);
  await worker.stop();
  await engine.open();
  assert.equal(engine.getSync(rows[0].key)?.[0], 9);
  await engine.close();
});

async function abandoned(t: TestContext, engine: EngineName, taskId: string, dir = tempDir(t, "abandoned")): Promise<string> {
  const directory = join(dir, "app", taskId);
  mkdirSync(directory, { recursive: true });
  const state = createEngine(engine, directory);
  await state.open();
  await state.batch([{ key: Buffer.from("a"), value: Buffer.from("1") }]);
  await state.close();
  return dir;
}

for (const { engine } of ENGINES)
  test(`state of a task goes after its age bound, never earlier, and never while assigned or locked, on ${engine}`, async (t) => {
    const open: { close(): Promise<void> }[] = [];
    t.after(() => Promise.all(open.map((state) => state.close()))); // before the directory goes
    const dir = await abandoned(t, engine, "0_0");
    for (const taskId of ["0_1", "0_2"]) await abandoned(t, engine, taskId, dir);
    const held = createEngine(engine, join(dir, "app", "0_2"));
    await held.open();
    open.push(held);
    const cleaner = new StateCleaner(new TaskDirectories(dir, "app", engine), (taskId) => taskId === "0_1", pino({ level: "silent" }));
    assert.deepEqual(await cleaner.clean(Date.now() + MAX_ABANDONED_MS - 60_000), []);
    assert.deepEqual(await cleaner.clean(Date.now() + MAX_ABANDONED_MS + 60_000), ["0_0"]);
    assert.deepEqual(readdirSync(join(dir, "app")).sort(), ["0_1", "0_2"]);
    assert.equal(String(held.getSync(Buffer.from("a"))), "1");
  });

test("a worker cleans up when it starts", async (t) => {
  const setup = await setUp(t);
  await abandoned(t, "level", "0_77", setup.stateDir);
  const directory = join(setup.stateDir, "app", "0_77");
  const longAgo = new Date(Date.now() - MAX_ABANDONED_MS - 60_000);
  for (const name of [...readdirSync(directory).map((file) => join(directory, file)), directory]) utimesSync(name, longAgo, longAgo);
  await run(setup);
  assert.deepEqual(readdirSync(join(setup.stateDir, "app")).includes("0_77"), false);
});
