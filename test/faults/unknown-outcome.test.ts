/** The one fault that the writer cannot settle by asking again: no answer to EndTxn for as long as it may ask. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { startKafka } from "../support/kafka.ts";
import { need } from "../support/need.ts";
import { API_KEYS } from "../support/request-scanner.ts";
import { assertExact } from "./assert-exact.ts";
import { JobUnderFaults } from "./job-under-faults.ts";

const skip = await need("kafka", "kcat");
const EVENTS = 3_000;

test(
  "every answer to EndTxn is lost: the outcome is unknown, the worker looks it up in the log, exact",
  { skip, timeout: 120_000 },
  async (t) => {
    const kafka = await startKafka(t, { proxied: true });
    const [proxy] = kafka.proxies;
    const config = { kafka: { brokers: [proxy.address], sessionTimeoutMs: 6_000, requestTimeoutMs: 3_000 } };
    const job = await JobUnderFaults.create(t, { kafka, partitions: 2, seed: 1, events: 3 * EVENTS, config });
    await job.fleet.start("w1");
    await job.write(EVENTS);
    await job.drained();
    proxy.failEvery(API_KEYS.endTxn, "lose-answer");
    await job.write(EVENTS);
    await job.fleet.get("w1").waitForOutput(/"action":"unknown-outcome"/, 60_000);
    proxy.calm();
    await job.write(EVENTS);
    await job.drained();
    await job.fleet.stopAll();
    assert.equal(job.fleet.rebuilds, 0, "the worker did not throw its state away");
    assertExact(t, await job.differences());
  },
);
