/** Files that a crash of the machine or a bad disk left truncated, garbled or missing: what opening and reading must make of them. */
import assert from "node:assert/strict";
import { readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { StateError } from "../../state/errors.ts";
import { TaskState } from "../../state/task-state.ts";
import { counter, counters, Harness } from "./task-state-harness.ts";

/** Of 200 bytes: enough for table files. */
const ROWS = 100_000;
const ROUNDS = 5;

const ENGINES = [
  { engine: "level", folder: "", table: /\.ldb$/ },
  { engine: "rocksdb", folder: "rocksdb", table: /\.sst$/ },
] as const;

type Subject = (typeof ENGINES)[number];

interface Damage {
  readonly name: string;
  readonly files: (subject: Subject) => RegExp;
  readonly harm: (file: string) => Promise<void>;
}

const garble = async (file: string): Promise<void> => {
  const bytes = await readFile(file);
  for (let at = 0; at < bytes.length; at += 7) bytes[at] ^= 0x5a;
  await writeFile(file, bytes);
};

const DAMAGES: readonly Damage[] = [
  { name: "a garbled table", files: ({ table }) => table, harm: garble },
  { name: "a truncated table", files: ({ table }) => table, harm: (file) => truncate(file, 1_000) },
  { name: "an empty table", files: ({ table }) => table, harm: (file) => truncate(file, 0) },
  { name: "a missing table", files: ({ table }) => table, harm: (file) => rm(file) },
  { name: "a garbled manifest", files: () => /^MANIFEST/, harm: garble },
  { name: "an empty manifest", files: () => /^MANIFEST/, harm: (file) => truncate(file, 0) },
  { name: "a missing manifest", files: () => /^MANIFEST/, harm: (file) => rm(file) },
  { name: "a garbled CURRENT", files: () => /^CURRENT$/, harm: (file) => writeFile(file, "MANIFEST-nonsense") },
  { name: "an empty CURRENT", files: () => /^CURRENT$/, harm: (file) => truncate(file, 0) },
];

/** Each checkpoint brings rows of its own, so that a table that is passed over would show. */
async function filled(t: TestContext, { engine, folder, table }: Subject): Promise<{ harness: Harness; directory: string }> {
  const harness = await Harness.make(t, engine);
  const store = harness.state.store(counters);
  const directory = join(harness.options.directory, folder);
  for (let i = 0; i < ROWS; i++) {
    store.put(`device-${i}`, { count: i, note: "x".repeat(200) });
    if ((i + 1) % (ROWS / ROUNDS) !== 0) continue;
    harness.commit();
    await harness.state.checkpoint();
  }
  await harness.close();
  assert.ok((await readdir(directory)).some((name) => table.test(name)));
  return { harness, directory };
}

for (const subject of ENGINES)
  for (const { name, files, harm } of DAMAGES)
    test(`${name} is \`corrupt-state\` and never wrong rows, and the wiped directory restores, on ${subject.engine}`, async (t) => {
      const { harness, directory } = await filled(t, subject);
      for (const file of await readdir(directory)) if (files(subject).test(file)) await harm(join(directory, file));
      const readAll = async (): Promise<void> => {
        await harness.open();
        await harness.state.scanCommitted("counters", { limit: ROWS });
      };
      await assert.rejects(readAll(), (error) => error instanceof StateError && error.code === "corrupt-state" && error.action === "wipe");
      await harness.close();
      await TaskState.wipeDirectory(harness.options.directory, subject.engine);
      await harness.open();
      assert.equal(harness.state.checkpointPosition("counters"), undefined);
      await harness.restore(100_000);
      assert.equal((await harness.state.scanCommitted("counters", { limit: ROWS + 1 })).length, ROWS);
    });

for (const subject of ENGINES)
  test(`a write-ahead log that was cut or garbled opens at an earlier checkpoint, positions and rows together, on ${subject.engine}`, async (t) => {
    const harness = await Harness.make(t, subject.engine);
    const directory = join(harness.options.directory, subject.folder);
    const store = harness.state.store(counters);
    for (let round = 1; round <= 10; round++) {
      for (let i = 0; i < 100; i++) store.put(`device-${i}`, counter(round));
      harness.commit();
      await harness.state.checkpoint();
    }
    await harness.close();
    for (const file of await readdir(directory)) {
      if (!/^\d+\.log$/.test(file)) continue;
      const bytes = await readFile(join(directory, file));
      bytes.fill(0xa5, Math.floor(bytes.length * 0.6), Math.floor(bytes.length * 0.7));
      await writeFile(join(directory, file), bytes.subarray(0, Math.floor(bytes.length * 0.9)));
    }
    await harness.open();
    const round = (harness.state.checkpointPosition("counters") ?? 0) / 100;
    assert.ok(round < 10, `${round}`);
    const rows = await harness.state.scanCommitted("counters", { limit: 1_000 });
    assert.deepEqual(new Set(rows.map(([, value]) => (value as { count: number }).count)), new Set(round === 0 ? [] : [round]));
    await harness.restore();
    assert.equal(harness.state.store(counters).get("device-7")?.count, 10);
  });
