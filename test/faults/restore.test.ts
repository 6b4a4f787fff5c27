/**
 * What comes in between while state is restored, on a real Kafka. The broker is slow for workers whose names begin with "slow", so
 * that their restores last until the test has seen enough. SLUICE_SEED repeats a run.
 */
import assert from "node:assert/strict";
import { after, before, describe, test, type TestContext } from "node:test";
import type { AggregateRecord } from "../../processors/formats/records.ts";
import type { BrokerProxy } from "../support/broker-proxy.ts";
import { startKafka, type Kafka } from "../support/kafka.ts";
import { need } from "../support/need.ts";
import type { CliProcess } from "../support/spawn-cli.ts";
import { partitionsOf, type RawEvent } from "../support/telemetry.ts";
import { waitFor } from "../support/wait-for.ts";
import { assertExact } from "./assert-exact.ts";
import { JobUnderFaults, SESSION_TIMEOUT_MS, type JobOptions } from "./job-under-faults.ts";
import { restoresOf, runningTasksOf, tasksOf } from "./watched-worker.ts";

const skip = await need("kafka", "kcat");
const seed = Number(process.env.SLUICE_SEED ?? Date.now() % 1_000_000);
const PARTITIONS = 4;
const HALF = PARTITIONS / 2;
/** About 50,000 changelog records, 6 MB, and what is written at each step of a test. */
const EVENTS = 20_000;
const EVENTS_MEANWHILE = 2_000;
/** 200,000 B/s a connection: the whole state takes half a minute. */
const SLOW = { pieceBytes: 2_000, pieceEveryMs: 10 };
/** A session's end, a start of a process, a rebalance and a restore. */
const STEP = { deadlineMs: 40_000 };

describe(`while state is restored (seed ${seed})`, { skip }, () => {
  const cleanups: (() => unknown)[] = [];
  let kafka: Kafka;
  before(async () => {
    kafka = await startKafka({ after: (step) => void cleanups.push(step) }, { proxied: true });
  });
  after(async () => {
    for (const step of cleanups.reverse()) await step();
  });

  async function setUp(t: TestContext, options: Partial<JobOptions> = {}): Promise<{ job: JobUnderFaults; proxy: BrokerProxy }> {
    const [proxy] = kafka.proxies;
    t.after(() => proxy.calm());
    const slow = { kafka: { brokers: [proxy.address], sessionTimeoutMs: SESSION_TIMEOUT_MS } };
    const job = await JobUnderFaults.create(t, {
      kafka,
      partitions: PARTITIONS,
      devices: 2_000,
      seed,
      events: EVENTS + 4 * EVENTS_MEANWHILE,
      // a worker that is gone is gone: its tasks move
      staticMembers: false,
      configOf: (name) => (name.startsWith("slow") ? slow : {}),
      ...options,
    });
    return { job, proxy };
  }

  const has = (worker: CliProcess, tasks: number) => async (): Promise<boolean> =>
    (await tasksOf(worker)).length === tasks && (await restoresOf(worker)).length > 0;
  const runs = (worker: CliProcess, tasks: number) => async (): Promise<boolean> => (await runningTasksOf(worker)).length === tasks;

  async function assertSame(t: TestContext, job: JobUnderFaults): Promise<void> {
    await job.drained();
    await job.fleet.stopAll();
    assert.deepEqual(await job.log.admin.openTransactions(`${job.group}/`), []);
    assert.equal(job.fleet.rebuilds, 0, "no worker threw its state away");
    assertExact(t, await job.differences());
  }

  test(
    "workers join, die and leave while another restores: each rebalance goes through and the restore ends (Quix #1146 and #1067, Faust #432)",
    { timeout: 150_000 },
    async (t) => {
      const { job, proxy } = await setUp(t);
      const { fleet } = job;
      await fleet.start("slow");
      await job.write(EVENTS);
      await job.drained();
      await fleet.stop("slow");
      job.wipeState("slow");

      proxy.shape("down", SLOW);
      await fleet.start("slow");
      const slow = fleet.get("slow");
      await waitFor("it restores everything", has(slow, PARTITIONS), STEP);
      await fleet.start("w2");
      await waitFor("one that joins restores its share and runs it", runs(fleet.get("w2"), HALF), STEP);
      assert.ok(await has(slow, HALF)(), "the other is still at its own");
      await job.write(EVENTS_MEANWHILE);
      await fleet.kill("w2");
      await waitFor("what the dead one had is restored too", has(slow, PARTITIONS), STEP);
      await fleet.start("w3");
      await waitFor("another takes a share", runs(fleet.get("w3"), HALF), STEP);
      await job.write(EVENTS_MEANWHILE);
      await fleet.stop("w3");
      await waitFor("and gives it back", has(slow, PARTITIONS), STEP);
      proxy.calm();
      await waitFor("the restore ends", runs(slow, PARTITIONS), STEP);
      await job.write(EVENTS_MEANWHILE);
      await assertSame(t, job);
    },
  );

  test(
    "tasks that run are committed while their worker restores others, and a worker that joins meanwhile takes its share",
    { timeout: 150_000 },
    async (t) => {
      const { job, proxy } = await setUp(t);
      const { fleet, log, group, topics } = job;
      await fleet.start("slow", "w1");
      const slow = fleet.get("slow");
      await waitFor("each runs half", async () => (await runs(slow, HALF)()) && (await runs(fleet.get("w1"), HALF)()), STEP);
      await job.write(EVENTS);
      await job.drained();
      const running = await runningTasksOf(slow);

      proxy.shape("down", SLOW);
      await fleet.kill("w1");
      await waitFor("the other half is being restored", has(slow, PARTITIONS), STEP);
      await job.write(EVENTS_MEANWHILE);
      const own = (await partitionsOf(log, topics.raw)).filter(({ partition }) => running.includes(`0_${partition}`));
      const ends = await log.admin.listOffsets(own, "latest", "read_committed");
      await waitFor(
        "the first half is committed to its end",
        async () => {
          const committed = await log.admin.groupOffsets(group, own);
          return ends.every((end) => committed.some(({ partition, offset }) => partition === end.partition && offset === end.offset));
        },
        STEP,
      );
      const restores = await restoresOf(slow);
      assert.ok(restores.length > 0, "the other half still is");
      t.diagnostic(`then ${restores.reduce((sum, { remaining }) => sum + remaining, 0)} changelog offsets were left to restore`);
      assert.deepEqual((await runningTasksOf(slow)).toSorted(), running.toSorted());

      await fleet.start("w2");
      await waitFor("one that joins while it restores runs its share", runs(fleet.get("w2"), HALF), STEP);
      await waitFor("the slow one runs the other", runs(slow, HALF), STEP);
      proxy.calm();
      await assertSame(t, job);
    },
  );

  test(
    "windows open when every worker is killed close once and whole, by readings or by their timer (Faust #193, Bytewax #138)",
    { timeout: 90_000 },
    async (t) => {
      const { job } = await setUp(t, {
        events: WINDOW.devices * (WINDOW.readings + 1),
        source: windowReadings(),
        config: { windows: [{ sizeMs: WINDOW.sizeMs, graceMs: WINDOW.graceMs, idleMs: WINDOW.idleMs }] },
      });
      const { fleet } = job;
      await fleet.start("w1", "w2");
      await job.write(WINDOW.devices * (WINDOW.readings - 1));
      await job.drained();
      await waitFor("both have worked", async () => {
        const tasks = [...(await runningTasksOf(fleet.get("w1"))), ...(await runningTasksOf(fleet.get("w2")))];
        return new Set(tasks).size === PARTITIONS;
      });
      assert.deepEqual(await job.read(job.topics.aggregates), [], "every window is open");
      await fleet.kill("w1");
      await fleet.kill("w2");
      job.wipeState("w2");
      await fleet.start("w1", "w2");
      await job.write(WINDOW.devices * 2); // the rest
      await job.drained();
      await fleet.stopAll();

      const closed = (await job.read(job.topics.aggregates)).map((record) => JSON.parse(String(record.value)) as AggregateRecord);
      const seen = closed.map(
        ({ deviceId, window, metrics }) => `${deviceId} ${window.start - WINDOW.start} ${metrics.temperature_c.count}`,
      );
      const expected = Array.from({ length: WINDOW.devices }, (_, device) => `d${device} 0 ${WINDOW.readings}`);
      assert.deepEqual(seen.sort(), expected.sort(), "each window once, with every reading of before and after");
      assertExact(t, await job.differences());
    },
  );
});

const WINDOW = {
  start: Math.floor((Date.now() - 3_600_000) / 1_000) * 1_000,
  sizeMs: 1_000,
  graceMs: 500,
  idleMs: 60_000,
  devices: 200,
  readings: 10,
};

/** Ten readings of each device in one window; then half of the devices go on two minutes later, and the others never do. */
function* windowReadings(): Generator<RawEvent, void, undefined> {
  const { start, devices, readings } = WINDOW;
  for (let seq = 0; seq <= readings; seq++)
    for (let device = 0; device < (seq < readings ? devices : devices / 2); device++) {
      const deviceId = `d${device}`;
      const ts = start + (seq < readings ? seq * 10 : 120_000);
      const value = Buffer.from(JSON.stringify({ deviceId, bootId: "b", seq, ts, tempC: 20 + seq }));
      yield { tenant: "demo", deviceId, value, receivedTs: ts };
    }
}
