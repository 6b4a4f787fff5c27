/** Two workers whose only way to the broker is through a proxy that misbehaves: they go on, and what they wrote is exact. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { RequestFault } from "../support/broker-proxy.ts";
import { startKafka } from "../support/kafka.ts";
import { need } from "../support/need.ts";
import { API_KEYS } from "../support/request-scanner.ts";
import { waitFor } from "../support/wait-for.ts";
import { assertExact } from "./assert-exact.ts";
import { JobUnderFaults } from "./job-under-faults.ts";

const skip = await need("kafka", "kcat");
const EVENTS_PER_FAULT = 3_000;
const REQUEST_TIMEOUT_MS = 3_000;
const REQUEST_FAULTS: readonly (readonly [keyof typeof API_KEYS, RequestFault])[] = [
  ["produce", "half"],
  ["produce", "lose-answer"],
  ["addPartitionsToTxn", "lose-request"],
  ["txnOffsetCommit", "half"],
  ["txnOffsetCommit", "lose-answer"],
  ["endTxn", "lose-request"],
  ["endTxn", "half"],
  ["endTxn", "lose-answer"],
  ["fetch", "half"],
];
const SHAPES = 4;
const seed = Number(process.env.SLUICE_SEED ?? Date.now() % 1_000_000);

test(`network faults between workers and broker (seed ${seed})`, { skip, timeout: 180_000 }, async (t) => {
  const kafka = await startKafka(t, { proxied: true });
  const [proxy] = kafka.proxies;
  const events = (REQUEST_FAULTS.length + SHAPES + 1) * EVENTS_PER_FAULT;
  const job = await JobUnderFaults.create(t, {
    kafka,
    partitions: 4,
    seed,
    events,
    config: { kafka: { brokers: [proxy.address], sessionTimeoutMs: 6_000, requestTimeoutMs: REQUEST_TIMEOUT_MS } },
  });
  await job.fleet.start("w1", "w2");
  await job.write(EVENTS_PER_FAULT);
  await job.drained();

  for (const [request, fault] of REQUEST_FAULTS) {
    await t.test(`${request}: ${fault} in mid-transaction, and the work goes on`, async () => {
      const before = proxy.faultsDone;
      proxy.failNext(API_KEYS[request], fault);
      await job.write(EVENTS_PER_FAULT);
      await job.drained();
      await waitFor("the fault has happened", () => proxy.faultsDone === before + 1);
    });
  }
  await t.test("every connection reset at once", async () => {
    await job.write(EVENTS_PER_FAULT);
    await job.untilCommitted(job.written - EVENTS_PER_FAULT + 1, 1);
    proxy.cut();
    await job.drained();
  });
  await t.test("half-open for longer than the request time-out: new connections, and no hang", async () => {
    const before = job.written;
    proxy.shape("both", { stalled: true });
    await job.write(EVENTS_PER_FAULT);
    const started = performance.now();
    await waitFor("the requests have timed out", () => performance.now() - started > REQUEST_TIMEOUT_MS + 1_000, {
      deadlineMs: 2 * REQUEST_TIMEOUT_MS,
    });
    assert.ok(job.written > before);
    proxy.calm();
    await job.drained();
  });
  await t.test("a slow drip, every frame in parts", async () => {
    proxy.shape("both", { pieceBytes: 4_000, pieceEveryMs: 5 });
    await job.write(EVENTS_PER_FAULT);
    await job.drained();
    proxy.calm();
  });
  await t.test("100 ms of latency each way", async () => {
    proxy.shape("both", { latencyMs: 100 });
    await job.write(EVENTS_PER_FAULT);
    await job.drained();
    proxy.calm();
  });
  await t.test("after all of it every output is that of an undisturbed run", async (t) => {
    await job.fleet.stopAll();
    assert.equal(job.fleet.rebuilds, 0, "no worker threw its state away");
    assertExact(t, await job.differences());
  });
});
