/**
 * Kafka's streams_eos_test and streams_broker_bounce_test, as whole processes on three brokers: three workers, five partitions.
 * SLUICE_SEED repeats a run.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { startKafka, type Kafka } from "../support/kafka.ts";
import { need } from "../support/need.ts";
import { assertExact } from "./assert-exact.ts";
import { JobUnderFaults } from "./job-under-faults.ts";
import { bounceBrokers, disturbWorkers, ROLES } from "./cluster-run.ts";

const skip = await need("kafka", "kcat");
const seed = Number(process.env.SLUICE_SEED ?? Date.now() % 1_000_000);
const DEVICES = 3_000;
const WORKER_FAULTS = 4;
const EVENTS_PER_FAULT = 6_000;

test(`three workers on three brokers (seed ${seed})`, { skip, timeout: 240_000 }, async (t) => {
  const kafka: Kafka = await startKafka(t, { brokers: 3, heapMiB: 384 });
  const job = await JobUnderFaults.create(t, {
    kafka,
    partitions: 5,
    devices: DEVICES,
    seed,
    events: (WORKER_FAULTS + ROLES.length + 2) * EVENTS_PER_FAULT,
  });
  await job.fleet.start("w1", "w2", "w3");
  await t.test(`${WORKER_FAULTS} kill -9 and clean stops of workers`, async () => {
    await disturbWorkers(job, { faults: WORKER_FAULTS, eventsPerFault: EVENTS_PER_FAULT, seed });
  });
  await t.test(
    `${ROLES.join(", ")}: killed or stopped in turn; the workers go on without it, and when it is back (goka #172)`,
    async (t) => {
      await bounceBrokers(t, job, kafka, EVENTS_PER_FAULT);
    },
  );
  await t.test("then no transaction is open, and every output is that of an undisturbed run", async (t) => {
    await job.drained();
    await job.fleet.stopAll();
    assert.deepEqual(await job.log.admin.openTransactions(`${job.group}/`), []);
    assert.equal(job.fleet.rebuilds, 0, "no worker threw its state away");
    assertExact(t, await job.differences());
  });
});
