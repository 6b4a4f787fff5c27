/** The real machine-temperature series through MQTT, Mosquitto, ingress, Kafka and worker, as processes; windows against an oracle of its own. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { pino } from "pino";
import { KafkaLog } from "../../eventlog/kafka/kafka-log.ts";
import type { AggregateRecord, NormalizedRecord } from "../../processors/formats/records.ts";
import { startMosquitto } from "../support/mosquitto.ts";
import { need } from "../support/need.ts";
import { sharedKafka } from "../support/shared-kafka.ts";
import { runCli, spawnCli } from "../support/spawn-cli.ts";
import { jobTopics, parseAll, readTopic, waitUntilDrained } from "../support/telemetry.ts";
import { tempDir } from "../support/temp-dir.ts";
import { uniqueName } from "../support/unique-name.ts";
import { waitFor } from "../support/wait-for.ts";

const skip = await need("kafka", "mosquitto");
const CSV = fileURLToPath(new URL("../../examples/data/nab/machine_temperature_system_failure.csv", import.meta.url));
const READINGS = 22_695;
const HOUR_MS = 3_600_000;

test("22,695 readings: all in raw, each once in normalized, every final window as computed here", { skip, timeout: 240_000 }, async (t) => {
  const kafka = await sharedKafka();
  const mosquitto = await startMosquitto(t);
  const topics = jobTopics();
  const name = uniqueName("machine");
  const config = {
    applicationId: name,
    kafka: { brokers: kafka.bootstrap },
    mqtt: { url: mosquitto.url, clientId: name },
    topics,
    topicDefaults: { partitions: 4, retentionMs: -1 },
    // a window closes when nothing came for it for 4 s: long after its last reading in this replay
    windows: [{ sizeMs: HOUR_MS, graceMs: 0, idleMs: 4_000 }],
    processing: { idleCloseMs: 4_000 },
    state: { dir: tempDir(t, "machine-state") },
    http: { port: 0 },
  };
  assert.equal((await runCli(t, ["topics", "create"], { config })).code, 0);
  const ingress = await spawnCli(t, ["ingress"], { config });
  const worker = await spawnCli(t, ["worker"], { config });
  await ingress.waitForOutput(/ingress takes telemetry/);

  const simulate = await runCli(t, ["simulate", "--csv", CSV, "--metrics", "tempC", "--speed", "0", "--qos", "1", "--json"], { config });
  assert.equal(simulate.code, 0, simulate.stderr);
  assert.equal((JSON.parse(simulate.stdout) as { sent: number }).sent, READINGS);

  const log = new KafkaLog({ brokers: kafka.bootstrap, clientId: name, logger: pino({ level: "silent" }) });
  t.after(() => log.close());
  await waitFor("all readings in raw", async () => (await readTopic(log, topics.raw)).length >= READINGS, {
    deadlineMs: 60_000,
    intervalMs: 500,
  });
  await waitUntilDrained(log, name, topics.raw, 60_000);
  const raw = await readTopic(log, topics.raw);
  assert.equal(raw.length, READINGS, "raw");
  const sent = parseAll<{ seq: number; ts: number; tempC: number }>(raw);

  const normalized = parseAll<NormalizedRecord>(await readTopic(log, topics.normalized));
  assert.equal(normalized.length, READINGS, "normalized");
  assert.deepEqual(
    normalized.map((record) => record.seq),
    Array.from({ length: READINGS }, (_, seq) => seq),
    "each once, in order",
  );

  const readings = readFileSync(CSV, "utf8")
    .trimEnd()
    .split("\n")
    .slice(1)
    .map((line) => Number(line.split(",")[1]));
  assert.deepEqual(
    sent.map((reading) => reading.tempC),
    readings,
    "the file's values, untouched",
  );

  const expected = oracle(sent);
  await waitFor("every window is final", async () => (await readTopic(log, topics.aggregates)).length >= expected.size, {
    deadlineMs: 60_000,
    intervalMs: 500,
  });
  assert.equal((await worker.stop()).code, 0, worker.stderr());
  assert.equal((await ingress.stop()).code, 0, ingress.stderr());
  const windows = parseAll<AggregateRecord>(await readTopic(log, topics.aggregates));
  assert.equal(windows.length, expected.size, "each final window once");
  for (const { window, metrics } of windows) {
    const values = expected.get(window.start);
    assert.ok(values !== undefined, `a window at ${window.start}`);
    expected.delete(window.start);
    assert.equal(window.end, window.start + HOUR_MS);
    const actual = metrics.temperature_c;
    assert.equal(actual.count, values.length);
    assert.equal(actual.min, Math.min(...values));
    assert.equal(actual.max, Math.max(...values));
    assert.equal(actual.first, values[0]);
    assert.equal(actual.last, values[values.length - 1]);
    const sum = values.reduce((total, value) => total + value, 0);
    const mean = sum / values.length;
    const variance = values.reduce((total, value) => total + (value - mean) ** 2, 0) / values.length;
    close(actual.sum, sum, "sum");
    close(actual.mean, mean, "mean");
    close(actual.variance, variance, "variance");
  }
  assert.equal((await readTopic(log, topics.dlq)).length, 0);
});

/** Values of each hour by event time; the series is in order, but daylight saving may repeat times, so sort stably. */
function oracle(sent: readonly { ts: number; tempC: number }[]): Map<number, number[]> {
  const byHour = new Map<number, number[]>();
  for (const { ts, tempC } of [...sent].sort((a, b) => a.ts - b.ts)) {
    const start = ts - (ts % HOUR_MS);
    byHour.set(start, [...(byHour.get(start) ?? []), tempC]);
  }
  return byHour;
}

/** Sums in another order differ in the last bits. */
function close(actual: number, expected: number, what: string): void {
  assert.ok(Math.abs(actual - expected) <= 1e-9 * Math.max(1, Math.abs(expected)), `${what}: ${actual}, expected ${expected}`);
}
