/** Kafka's streams_smoke_test as whole processes: 20 keys, records shuffled in tens, what must come out computed here. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { AggregateRecord, MetricAggregate, NormalizedRecord } from "../../processors/formats/records.ts";
import { need } from "../support/need.ts";
import { sharedKafka } from "../support/shared-kafka.ts";
import type { RawEvent } from "../support/telemetry.ts";
import { JobUnderFaults } from "./job-under-faults.ts";
import { seededRandom } from "./seeded-random.ts";

const skip = await need("kafka", "kcat");
const KEYS = 20;
const RECORDS_PER_KEY = 1_000;
/** 20 records a window, shuffled by up to half of one: nothing is late with this grace. */
const EVERY_MS = 50;
const WINDOW_MS = 1_000;
const GRACE_MS = 1_000;
const ROUNDS = 4;
const seed = Number(process.env.SLUICE_SEED ?? Date.now() % 1_000_000);
const startTs = Math.floor((Date.now() - 600_000) / WINDOW_MS) * WINDOW_MS;

interface Reading {
  readonly deviceId: string;
  readonly seq: number;
  readonly ts: number;
  readonly tempC: number;
}

/** Whole numbers, so that a sum does not depend on the order; one more reading a key closes its last windows. */
function readings(): Reading[] {
  const random = seededRandom(seed);
  const all: Reading[] = [];
  for (let tens = 0; tens < RECORDS_PER_KEY; tens += 10) {
    const group: { order: number; reading: Reading }[] = [];
    for (let key = 0; key < KEYS; key++)
      for (let seq = tens; seq < tens + 10; seq++) {
        const reading = { deviceId: `key-${key}`, seq, ts: startTs + seq * EVERY_MS, tempC: Math.floor(random() * 100) };
        group.push({ order: random(), reading });
      }
    all.push(...group.sort((a, b) => a.order - b.order).map(({ reading }) => reading));
  }
  for (let key = 0; key < KEYS; key++)
    all.push({ deviceId: `key-${key}`, seq: RECORDS_PER_KEY, ts: startTs + RECORDS_PER_KEY * EVERY_MS + 10 * WINDOW_MS, tempC: 0 });
  return all;
}

function* rawEvents(from: readonly Reading[]): Generator<RawEvent, void, undefined> {
  for (const { deviceId, seq, ts, tempC } of from)
    yield { tenant: "demo", deviceId, value: Buffer.from(JSON.stringify({ deviceId, bootId: "b", seq, ts, tempC })), receivedTs: ts };
}

type Exact = Pick<MetricAggregate, "count" | "sum" | "min" | "max" | "mean">;

/** By key and window start; the window of the closing readings stays open. */
function expectedWindows(from: readonly Reading[]): Map<string, Exact> {
  const values = new Map<string, number[]>();
  for (const { deviceId, seq, ts, tempC } of from) {
    if (seq === RECORDS_PER_KEY) continue;
    const id = `${deviceId} ${Math.floor(ts / WINDOW_MS) * WINDOW_MS}`;
    values.set(id, [...(values.get(id) ?? []), tempC]);
  }
  return new Map([...values].map(([id, list]) => [id, exact(list)]));
}

function exact(values: readonly number[]): Exact {
  const sum = values.reduce((total, value) => total + value, 0);
  return { count: values.length, sum, min: Math.min(...values), max: Math.max(...values), mean: sum / values.length };
}

function pick({ count, sum, min, max, mean }: MetricAggregate): Exact {
  return { count, sum, min, max, mean };
}

const all = readings();

for (const guarantee of ["exactly-once", "at-least-once"] as const) {
  for (const end of ["crash", "clean stop"] as const) {
    test(`${guarantee}, ${end}: ${promise(guarantee, end)} (seed ${seed})`, { skip, timeout: 120_000 }, async (t) => {
      const job = await JobUnderFaults.create(t, {
        kafka: await sharedKafka(),
        partitions: 5,
        seed,
        events: all.length,
        source: rawEvents(all),
        config: {
          processing: { guarantee, commitIntervalMs: 20 },
          windows: [{ sizeMs: WINDOW_MS, graceMs: GRACE_MS, idleMs: 3_600_000 }],
        },
      });
      const { fleet } = job;
      const victims = ["w1", "w2"];
      await fleet.start(...victims);
      for (let round = 0; round < ROUNDS; round++) {
        const part = Math.ceil(all.length / (ROUNDS + 1));
        await job.write(part);
        await job.untilCommitted(job.written - part + 1, 1);
        const victim = victims[round % victims.length];
        if (end === "crash") await fleet.kill(victim);
        else await fleet.stop(victim);
        await fleet.start(victim);
      }
      await job.write(all.length);
      assert.equal(job.written, all.length);
      await job.drained();
      await fleet.stopAll();

      const normalized = (await job.read(job.topics.normalized)).map((record) => JSON.parse(String(record.value)) as NormalizedRecord);
      const aggregates = (await job.read(job.topics.aggregates)).map((record) => JSON.parse(String(record.value)) as AggregateRecord);
      const windows = aggregates.map(
        ({ deviceId, window, metrics }) => [`${deviceId} ${window.start}`, pick(metrics.temperature_c)] as const,
      );
      const ids = normalized.map(({ deviceId, seq }) => `${deviceId} ${String(seq)}`);
      t.diagnostic(`${ids.length} normalized, ${windows.length} windows`);
      const expected = expectedWindows(all);
      if (guarantee === "exactly-once" || end === "clean stop") {
        assert.deepEqual(ids.toSorted(), all.map(({ deviceId, seq }) => `${deviceId} ${String(seq)}`).sort(), "each reading once");
        assert.equal(windows.length, expected.size, "each final window once");
        assert.deepEqual(new Map(windows), expected);
        return;
      }
      assert.equal(new Set(ids).size, all.length, "each reading at least once");
      for (const [id, { count }] of expected) {
        const counts = windows.filter(([window]) => window === id).map(([, found]) => found.count);
        assert.ok(
          counts.some((found) => found >= count),
          `window ${id}: ${counts.join()} of ${count} readings`,
        );
      }
    });
  }
}

function promise(guarantee: "exactly-once" | "at-least-once", end: "crash" | "clean stop"): string {
  return guarantee === "exactly-once" || end === "clean stop" ? "exact results, each final window once" : "nothing is lost";
}
