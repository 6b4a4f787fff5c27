/**
 * Micro-benchmark of state/: operations per CPU second (user + system of the whole process, engine threads included) and
 * per second of the clock. `node bench/state.ts [--json]`; about 30 s. Rows: 24-character string keys, 96-byte values.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ByteReader } from "../state/byte-reader.ts";
import type { Serde } from "../state/serde.ts";
import { serdes } from "../state/serdes.ts";
import { keyValueStore, windowStore } from "../state/store.ts";
import type { EngineName } from "../state/engines/engine.ts";
import { TaskState } from "../state/task-state.ts";

const DEVICES = 10_000;
const STORED_ROWS = 200_000;
const RESTORED_ROWS = 500_000;

interface Sums {
  count: number;
  readonly sums: Float64Array;
}

/** Twelve numbers: about what a ledger or a window of two metrics takes. */
const NUMBERS = 12;

const reader = new ByteReader();

const sumsSerde: Serde<Sums> = {
  name: "sums",
  write: ({ count, sums }, out) => {
    out.varint(count);
    for (let i = 0; i < NUMBERS; i++) out.f64(sums[i]);
  },
  read: (bytes, start, end) => {
    reader.reset(bytes, start, end);
    const value = { count: reader.varint(), sums: new Float64Array(NUMBERS) };
    for (let i = 0; i < NUMBERS; i++) value.sums[i] = reader.f64();
    return value;
  },
};

const ledgers = keyValueStore<string, Sums>({ name: "ledgers", key: serdes.string, value: sumsSerde });
const windows = windowStore<string, Sums>({ name: "windows", key: serdes.string, value: sumsSerde });

interface Result {
  readonly name: string;
  readonly operations: number;
  readonly perCpuSecond: number;
  readonly perSecond: number;
  readonly nsPerOperation: number;
}

const results: Result[] = [];

async function measure(name: string, operations: number, run: () => void | Promise<void>): Promise<void> {
  const cpuBefore = process.cpuUsage();
  const before = performance.now();
  await run();
  const seconds = (performance.now() - before) / 1_000;
  const { user, system } = process.cpuUsage(cpuBefore);
  const cpuSeconds = (user + system) / 1e6;
  results.push({
    name,
    operations,
    perCpuSecond: Math.round(operations / cpuSeconds),
    perSecond: Math.round(operations / seconds),
    nsPerOperation: Math.round((cpuSeconds * 1e9) / operations),
  });
}

const deviceKeys = Array.from({ length: STORED_ROWS }, (_, i) => `tenant-1|device-${String(i).padStart(8, "0")}`);
/** A key as a record brings it: a new string each time, so that its hash is not known. */
const encodedKeys = Buffer.from(deviceKeys.join(""), "latin1");
const KEY_CHARS = deviceKeys[0].length;
const freshKey = (i: number): string => encodedKeys.toString("latin1", i * KEY_CHARS, (i + 1) * KEY_CHARS);
const newSums = (): Sums => ({ count: 0, sums: new Float64Array(NUMBERS) });
const ignore = (): void => undefined;

const root = await mkdtemp(join(tmpdir(), "sluice-bench-state-"));
let runs = 0;
const open = (engine: EngineName, cacheBytes: number): Promise<TaskState> =>
  TaskState.open({ directory: join(root, String(runs++)), engine, stores: [ledgers, windows], cacheBytes, identity: "bench 0_0" });

try {
  await hotPath();
  await freezing();
  for (const engine of ["level", "rocksdb"] as const) {
    await misses(engine);
    await restoring(engine);
  }
} finally {
  await rm(root, { recursive: true, force: true });
}

process.stdout.write(process.argv.includes("--json") ? `${JSON.stringify({ node: process.version, results })}\n` : table());

function table(): string {
  const header = ["", "operations", "per CPU second", "per second", "ns of CPU each"];
  const rows = results.map((result) => [
    result.name,
    ...[result.operations, result.perCpuSecond, result.perSecond, result.nsPerOperation].map((value) => value.toLocaleString("en-US")),
  ]);
  return [header, ...rows]
    .map(([name = "", ...cells]) => `${name.padEnd(46)}${cells.map((cell) => cell.padStart(16)).join("")}\n`)
    .join("");
}

async function hotPath(): Promise<void> {
  const state = await open("memory", 256 << 20);
  const store = state.store(ledgers);
  const windowed = state.store(windows);
  for (let i = 0; i < DEVICES; i++) {
    store.put(deviceKeys[i], newSums());
    for (let w = 0; w < 4; w++) windowed.put(deviceKeys[i], w * 10_000, newSums());
  }
  const count = 3_000_000;
  const kv = (key: (i: number) => string, times: number) => (): void => {
    for (let i = 0; i < times; i++) {
      const name = key((i * 7_919) % DEVICES);
      const value = store.get(name) as Sums;
      value.count++;
      store.put(name, value);
    }
  };
  const windowRun = (times: number) => (): void => {
    for (let i = 0; i < times; i++) {
      const name = deviceKeys[(i * 7_919) % DEVICES];
      const start = (i & 3) * 10_000;
      const value = windowed.fetch(name, start) as Sums;
      value.count++;
      windowed.put(name, start, value);
    }
  };
  const known = (i: number): string => deviceKeys[i];
  kv(known, 200_000)();
  kv(freshKey, 200_000)();
  windowRun(200_000)();
  await measure("hot get + put, known key string", count, kv(known, count));
  await measure("making a key string (part of the next)", count, () => {
    let length = 0;
    for (let i = 0; i < count; i++) length += freshKey((i * 7_919) % DEVICES).length;
    if (length === 0) throw new Error("nothing was made");
  });
  await measure("hot get + put, new key string", count, kv(freshKey, count));
  await measure("hot window fetch + put, 4 windows", count, windowRun(count));
  await state.close();
}

async function freezing(): Promise<void> {
  const state = await open("level", 256 << 20);
  const store = state.store(ledgers);
  const dirty = (): void => {
    for (let i = 0; i < DEVICES; i++) {
      const key = deviceKeys[i];
      const value = store.get(key) ?? newSums();
      value.count++;
      store.put(key, value);
    }
  };
  for (let warm = 0; warm < 30; warm++) {
    dirty();
    state.committed(state.freeze(ignore), new Map());
  }
  const rounds = 50;
  let freezeNs = 0n;
  let committedNs = 0n;
  let longestNs = 0n;
  for (let round = 0; round < rounds; round++) {
    dirty();
    const started = process.hrtime.bigint();
    const frozen = state.freeze(ignore);
    const frozenAt = process.hrtime.bigint();
    state.committed(frozen, new Map([["ledgers", round]]));
    const done = process.hrtime.bigint();
    freezeNs += frozenAt - started;
    committedNs += done - frozenAt;
    if (frozenAt - started > longestNs) longestNs = frozenAt - started;
  }
  addTimed("freeze of 10,000 rows, a row", rounds * DEVICES, freezeNs);
  addTimed("committed() of 10,000 rows, a row", rounds * DEVICES, committedNs);
  addTimed("longest freeze of 10,000 rows", 1, longestNs);
  await measure("checkpoint of 10,000 rows, a row", DEVICES, () => state.checkpoint());
  await state.close();
}

/** Synchronous parts are timed by the clock: too short for the resolution of CPU times. */
function addTimed(name: string, operations: number, ns: bigint): void {
  const perSecond = Math.round(operations / (Number(ns) / 1e9));
  results.push({ name, operations, perCpuSecond: perSecond, perSecond, nsPerOperation: Math.round(Number(ns) / operations) });
}

async function misses(engine: EngineName): Promise<void> {
  const state = await open(engine, 1 << 20);
  const store = state.store(ledgers);
  for (let i = 0; i < STORED_ROWS; i++) {
    store.put(deviceKeys[i], newSums());
    if (i % 20_000 === 19_999) state.committed(state.freeze(ignore), new Map([["ledgers", i]]));
  }
  await measure(`${engine}: checkpoint of 200,000 rows, a row`, STORED_ROWS, () => state.checkpoint());
  state.rollback();
  const count = 100_000;
  await measure(`${engine}: miss, decode, evict`, count, () => {
    for (let i = 0; i < count; i++) store.get(deviceKeys[(i * 7_919) % STORED_ROWS]);
  });
  await measure(`${engine}: miss, absent`, count, () => {
    for (let i = 0; i < count; i++) store.get(`absent-${i}`);
  });
  await measure(`${engine}: scan, a row`, STORED_ROWS, async () => {
    let rows = 0;
    for await (const row of store.scan()) if (row.length === 2) rows++;
    if (rows !== STORED_ROWS) throw new Error(`${rows} rows`);
  });
  await state.close();
}

async function restoring(engine: EngineName): Promise<void> {
  const valueBytes = 97;
  const record = KEY_CHARS + valueBytes;
  const bulk = 50_000;
  const changelog = Buffer.alloc(bulk * record, 1);
  for (const [name, rows] of [
    ["restore + flush, all keys distinct, a record", RESTORED_ROWS],
    ["restore + flush, 10,000 keys, a record", DEVICES],
  ] as const) {
    const state = await open(engine, 1 << 20);
    await measure(`${engine}: ${name}`, RESTORED_ROWS, async () => {
      for (let at = 0; at < RESTORED_ROWS; at += bulk) {
        for (let i = 0; i < bulk; i++) {
          const start = i * record;
          const key = ((at + i) * 7_919) % rows;
          encodedKeys.copy(changelog, start, (key % STORED_ROWS) * KEY_CHARS, ((key % STORED_ROWS) + 1) * KEY_CHARS);
          // Above the 200,000 keys that exist the first letter makes new ones.
          changelog[start] = 97 + Math.floor(key / STORED_ROWS);
          state.restore("ledgers", changelog, start, start + KEY_CHARS, start + KEY_CHARS, start + record);
        }
        await state.flushRestored(new Map([["ledgers", at + bulk]]));
      }
    });
    await state.close();
  }
}
