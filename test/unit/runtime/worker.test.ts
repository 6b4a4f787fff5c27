/** The worker over the embedded log: commits, faults, rebalances, restores. Each output record tells the count it stands for. */
import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { pino } from "pino";
import { EmbeddedLog } from "../../../eventlog/embedded/embedded-log.ts";
import type { LogErrorCode } from "../../../eventlog/errors.ts";
import type { EventLog } from "../../../eventlog/port.ts";
import { RecordSet } from "../../../eventlog/records/record-set.ts";
import { RuntimeError } from "../../../runtime/errors.ts";
import { Worker } from "../../../runtime/worker.ts";
import type { WorkerOptions } from "../../../runtime/worker-options.ts";
import { serdes } from "../../../state/serdes.ts";
import type { ProcessorContext } from "../../../topology/processor.ts";
import { StreamsBuilder } from "../../../topology/streams-builder.ts";
import { countingTopology } from "../../support/counting-topology.ts";
import { FaultyLog, type FaultPoint } from "../../support/faulty-log.ts";
import { readTopic, waitUntilDrained } from "../../support/telemetry.ts";
import { tempDir } from "../../support/temp-dir.ts";
import { waitFor } from "../../support/wait-for.ts";
import { metricOf } from "./support/counting-worker.ts";

const PARTITIONS = 4;
const logger = pino({ level: process.env.TEST_LOG ?? "silent" });
interface Setup {
  readonly log: EventLog;
  readonly faults: FaultyLog;
  /** The same log, without the faults. */
  readonly calmLog: EventLog;
  readonly stateDir: string;
  worker(overrides?: Partial<WorkerOptions>): Worker;
  /** Writes `rounds` records for each of the keys k0..k(n-1). */
  feed(keys: number, rounds: number): Promise<void>;
  /** Every count of every key, sorted; undisturbed that is 1..n each once. */
  counts(): Promise<Map<string, number[]>>;
}

async function setUp(t: TestContext): Promise<Setup> {
  const embedded = await EmbeddedLog.open({ dir: tempDir(t, "worker-log"), logger });
  const faults = new FaultyLog(embedded);
  const { log } = faults;
  const workers: Worker[] = [];
  t.after(async () => {
    await Promise.all(workers.map((worker) => worker.stop()));
    await embedded.close();
  });
  await log.admin.createTopics(["in", "out", "dlq"].map((name) => ({ name, partitions: PARTITIONS, config: {} })));
  const stateDir = tempDir(t, "worker-state");
  return {
    log,
    faults,
    calmLog: embedded,
    stateDir,
    worker(overrides = {}) {
      const worker = new Worker({
        applicationId: "app",
        topology: countingTopology(),
        log,
        state: { dir: stateDir, engine: "level", cacheMiB: 4 },
        processing: { guarantee: "exactly-once", commitIntervalMs: 10 },
        sessionTimeoutMs: 5_000,
        deadLetterTopic: "dlq",
        logger,
        ...overrides,
      });
      workers.push(worker);
      return worker;
    },
    async feed(keys, rounds) {
      const writer = embedded.plainWriter({});
      for (let round = 0; round < rounds; round++) {
        const set = new RecordSet(100_000);
        for (let key = 0; key < keys; key++) {
          const bytes = Buffer.from(`k${key}`);
          set.partition("in", key % PARTITIONS).append(round, bytes, 0, bytes.length, bytes, 0, bytes.length);
        }
        await writer.write(set);
      }
      await writer.close();
    },
    async counts() {
      const byKey = new Map<string, number[]>();
      for (const record of await readTopic(log, "out")) {
        const list = byKey.get(String(record.key)) ?? [];
        list.push(Number(String(record.value)));
        byKey.set(String(record.key), list);
      }
      return byKey;
    },
  };
}

async function assertExact(setup: Setup, keys: number, rounds: number): Promise<void> {
  const counts = await setup.counts();
  assert.equal(counts.size, keys);
  const wanted = Array.from({ length: rounds }, (_, index) => index + 1);
  for (const [key, list] of counts) assert.deepEqual(list, wanted, `${key}: each count once and in order`);
}

/** A worker that processed 30 rounds of 20 keys and was stopped. */
async function firstRun(setup: Setup): Promise<Worker> {
  const worker = setup.worker();
  await worker.start();
  await setup.feed(20, 30);
  await waitUntilDrained(setup.log, "app", "in");
  await worker.stop();
  return worker;
}

/** Ten rounds more through the worker that came after; then all 40 must be exact. */
async function finishRun(setup: Setup, worker: Worker): Promise<void> {
  await setup.feed(20, 10);
  await waitUntilDrained(setup.log, "app", "in");
  await worker.stop();
  await assertExact(setup, 20, 40);
}

test("what goes in comes out once, and a restart after a clean stop replays nothing (kafka-streams for Node #86)", async (t) => {
  const setup = await setUp(t);
  const first = await firstRun(setup);
  assert.equal(first.state, "NOT_RUNNING");
  const second = setup.worker();
  await second.start();
  await waitFor("the second worker runs", () => second.state === "RUNNING");
  assert.equal(await metricOf(second, "sluice_restored_records_total"), 0);
  await finishRun(setup, second);
});

test("state that is gone from disk comes back from the changelog (kafka-streams for Node #86)", async (t) => {
  const setup = await setUp(t);
  await firstRun(setup);
  rmSync(join(setup.stateDir, "app"), { recursive: true });
  const second = setup.worker();
  await second.start();
  await finishRun(setup, second);
});

test("corrupt local state is noticed, and that task alone is rebuilt", async (t) => {
  const setup = await setUp(t);
  await firstRun(setup);
  writeFileSync(join(setup.stateDir, "app", "0_1", "CURRENT"), "garbage");
  const second = setup.worker();
  await second.start();
  await finishRun(setup, second);
});

const FAULTS: readonly [FaultPoint, LogErrorCode][] = [
  ["write", "transaction-aborted"],
  ["write", "unavailable"],
  ["offsets", "stale-generation"],
  ["commit", "fenced"],
  ["commit", "timed-out"],
  ["after-commit", "unknown-outcome"],
];
for (const [point, code] of FAULTS) {
  test(`a commit that fails at "${point}" with ${code} loses and doubles nothing`, async (t) => {
    const setup = await setUp(t);
    const worker = setup.worker();
    await worker.start();
    await setup.feed(8, 5);
    await waitUntilDrained(setup.log, "app", "in");
    for (let i = 1; i <= 3; i++) {
      setup.faults.failNext(point, code);
      await setup.feed(8, 5);
      await waitFor("the fault struck", () => setup.faults.injected === i);
    }
    await waitUntilDrained(setup.log, "app", "in");
    await worker.stop();
    await assertExact(setup, 8, 20);
  });
}

test("a commit that fails while the next one is due fails the worker with what it failed of itself", async (t) => {
  const setup = await setUp(t);
  const worker = setup.worker();
  await worker.start();
  await setup.feed(8, 1);
  await waitUntilDrained(setup.log, "app", "in");
  const gate = Promise.withResolvers<void>();
  setup.faults.faultGate = gate.promise;
  setup.faults.failNext("offsets", "unauthorized");
  await setup.feed(8, 1);
  await waitFor("a commit is about to fail", () => setup.faults.faultsHeld === 1);
  await setup.feed(8, 1);
  await waitFor("there is work for another", async () => (await metricOf(worker, "sluice_polled_records_total")) === 24);
  gate.resolve();
  await assert.rejects(worker.finished, { code: "unauthorized", message: "injected at offsets" });
});

test("tasks are shared when a second worker joins, and taken back when it leaves", async (t) => {
  const setup = await setUp(t);
  const first = setup.worker();
  await first.start();
  await setup.feed(20, 20);
  const second = setup.worker();
  await second.start();
  const owned = (worker: Worker): number => worker.queries.worker().tasks.filter((task) => task.status === "running").length;
  await setup.feed(20, 20);
  await waitFor("each runs half", () => owned(first) === 2 && owned(second) === 2);
  await setup.feed(20, 20);
  await second.stop();
  await setup.feed(20, 20);
  await waitFor("the first runs all", () => owned(first) === 4);
  await waitUntilDrained(setup.log, "app", "in");
  await first.stop();
  await assertExact(setup, 20, 80);
});

test("a paused worker keeps its tasks, commits what it has and processes nothing until it is resumed", async (t) => {
  const setup = await setUp(t);
  const worker = setup.worker();
  await worker.start();
  await setup.feed(20, 10);
  await waitUntilDrained(setup.log, "app", "in");
  worker.pause();
  await setup.feed(20, 10);
  // another worker comes and goes: the pause outlasts the rebalances, and the other processes its share
  const second = setup.worker();
  second.pause();
  await second.start();
  await waitFor("each has half", () => [worker, second].every(({ queries }) => queries.worker().tasks.length === 2));
  await waitFor("both run", () => worker.state === "RUNNING" && second.state === "RUNNING");
  await second.stop();
  await waitFor("the first has all", () => worker.state === "RUNNING" && worker.queries.worker().tasks.length === PARTITIONS);
  assert.ok(worker.paused);
  await assertExact(setup, 20, 10);
  assert.equal((await worker.queries.scan("totals", { limit: 100 })).length, 20, "queries are answered");
  worker.resume();
  await waitUntilDrained(setup.log, "app", "in");
  await assertExact(setup, 20, 20);
});

test("a pause holds the wall-clock timers too", async (t) => {
  const setup = await setUp(t);
  let ticks = 0;
  const builder = new StreamsBuilder();
  builder.stream("in", { key: serdes.string, value: serdes.string }).process({
    name: "ticking",
    outputs: [],
    create: () => ({
      init: (context: ProcessorContext) => void context.schedule(1, "wall-clock", () => void ticks++),
      process: () => undefined,
    }),
  });
  const worker = setup.worker({ topology: builder.build() });
  await worker.start();
  await waitFor("the timer ticks", () => ticks > 2);
  worker.pause();
  let [same, last] = [0, -1];
  await waitFor("the timer stands still", () => {
    same = ticks === last ? same + 1 : 0;
    last = ticks;
    return same === 10;
  });
  worker.resume();
  await waitFor("the timer ticks again", () => ticks > last);
});

test("tasks that stay are processed and committed while the group rebalances, however long that takes", async (t) => {
  const setup = await setUp(t);
  const first = setup.worker();
  await first.start();
  await setup.feed(20, 10);
  const second = setup.worker({ log: setup.calmLog });
  const gate = Promise.withResolvers<void>();
  const rebalances = async (): Promise<number> => {
    const metric = await first.registry.getSingleMetric("sluice_rebalances_total")?.get();
    return metric?.values[0].value ?? 0;
  };
  const before = await rebalances();
  setup.faults.assignGate = gate.promise;
  t.after(() => gate.resolve());
  const started = second.start();
  await waitFor("the leader assigns", () => setup.faults.gated > 0);
  for (let round = 0; round < 5; round++) {
    await setup.feed(20, 4);
    await waitUntilDrained(setup.calmLog, "app", "in");
  }
  assert.equal(await rebalances(), before, "the leader is still assigning");
  assert.equal(first.state, "REBALANCING", "lists of rows may not be whole");
  gate.resolve();
  await started;
  const owned = (worker: Worker): number => worker.queries.worker().tasks.filter((task) => task.status === "running").length;
  await waitFor("each runs half", () => owned(first) === 2 && owned(second) === 2);
  await setup.feed(20, 10);
  await waitUntilDrained(setup.log, "app", "in");
  await Promise.all([first.stop(), second.stop()]);
  await assertExact(setup, 20, 40);
});

test("queries give committed values of local tasks, and say who owns the rest", async (t) => {
  const setup = await setUp(t);
  const [first, second] = [setup.worker({ advertisedUrl: "http://first" }), setup.worker({ advertisedUrl: "http://second" })];
  await first.start();
  await second.start();
  await waitFor("both run", () => first.state === "RUNNING" && second.state === "RUNNING" && second.queries.worker().tasks.length === 2);
  await setup.feed(20, 3);
  await waitUntilDrained(setup.log, "app", "in");
  const rows = [...(await first.queries.scan("totals", { limit: 100 })), ...(await second.queries.scan("totals", { limit: 100 }))];
  assert.equal(rows.length, 20);
  assert.ok(rows.every((row) => (row.value as { count: number }).count === 3));
  const locations = ["a", "b", "c", "d", "e", "f"].map((key) => [
    first.queries.locate(key, { store: "totals" }),
    second.queries.locate(key, { store: "totals" }),
  ]);
  for (const [fromFirst, fromSecond] of locations) {
    if (fromFirst.kind === "local") assert.deepEqual(fromSecond, { kind: "remote", url: "http://first", workerId: first.workerId });
    else assert.equal(fromSecond.kind, "local");
  }
});

test("at-least-once: a failed write loses nothing", async (t) => {
  const setup = await setUp(t);
  const worker = setup.worker({ processing: { guarantee: "at-least-once", commitIntervalMs: 10 } });
  await worker.start();
  for (let i = 1; i <= 3; i++) {
    setup.faults.failNext("write", "timed-out");
    await setup.feed(8, 5);
    await waitFor("the fault struck", () => setup.faults.injected === i);
  }
  await waitUntilDrained(setup.log, "app", "in");
  await worker.stop();
  await assertExact(setup, 8, 15); // the write failed before it wrote, so nothing is doubled either
});

test("a record that a processor throws at is a dead letter; without a dead-letter topic it stops the worker", async (t) => {
  const setup = await setUp(t);
  const boom = async (): Promise<void> => {
    const writer = setup.log.plainWriter({});
    const set = new RecordSet(100_000);
    set.partition("in", 0).append(0, Buffer.from("k0"), 0, 2, Buffer.from("boom"), 0, 4);
    await writer.write(set);
    await writer.close();
  };
  const first = setup.worker();
  await first.start();
  await boom();
  await waitUntilDrained(setup.log, "app", "in");
  await first.stop();
  const [letter] = await readTopic(setup.log, "dlq");
  assert.equal(letter.headers.get("dlq.reason"), "processing-error");
  assert.equal(String(letter.value), "boom");

  const second = setup.worker({ deadLetterTopic: undefined });
  await second.start();
  await boom();
  await assert.rejects(second.finished, (error: unknown) => error instanceof RuntimeError && error.code === "processing-failed");
  assert.equal(second.state, "ERROR");
  await second.stop();
  assert.equal(second.state, "NOT_RUNNING");
});
