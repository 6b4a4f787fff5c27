/** What devices must not send, through Mosquitto, ingress, Kafka and worker: each in the DLQ with its bytes and reason, and the stream goes on. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { connectAsync } from "mqtt";
import { pino } from "pino";
import { KafkaLog } from "../../eventlog/kafka/kafka-log.ts";
import type { NormalizedRecord } from "../../processors/formats/records.ts";
import { startMosquitto } from "../support/mosquitto.ts";
import { need } from "../support/need.ts";
import { sharedKafka } from "../support/shared-kafka.ts";
import { runCli, spawnCli } from "../support/spawn-cli.ts";
import { jobTopics, parseAll, readTopic } from "../support/telemetry.ts";
import { tempDir } from "../support/temp-dir.ts";
import { uniqueName } from "../support/unique-name.ts";
import { waitFor } from "../support/wait-for.ts";

const skip = await need("kafka", "mosquitto");

const good = (seq: number): Buffer => Buffer.from(JSON.stringify({ deviceId: "d1", bootId: "b", seq, tempC: 20 }));
const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const HUGE = Buffer.alloc(5_000_000, "x");

const BAD: readonly { what: string; payload: Buffer; reason: string }[] = [
  { what: "not JSON", payload: Buffer.from("temp=20"), reason: "not-json" },
  { what: "binary", payload: Buffer.from([0xff, 0xfe, 0x00, 0x80, 0x01]), reason: "not-json" },
  { what: "empty", payload: Buffer.alloc(0), reason: "empty" },
  { what: "a number", payload: Buffer.from("42"), reason: "not-object" },
  { what: "NaN", payload: Buffer.from('{"deviceId":"d1","tempC":NaN}'), reason: "not-finite" },
  { what: "a seq that is text", payload: json({ deviceId: "d1", seq: "one", tempC: 1 }), reason: "schema" },
  { what: "another device's id", payload: json({ deviceId: "d2", seq: 1, tempC: 1 }), reason: "device-mismatch" },
  { what: "another tenant", payload: json({ deviceId: "d1", tenant: "other", seq: 1, tempC: 1 }), reason: "tenant-mismatch" },
  { what: "a ts that is no time", payload: json({ deviceId: "d1", seq: 1, ts: "yesterday", tempC: 1 }), reason: "bad-timestamp" },
  { what: "nothing numeric", payload: json({ deviceId: "d1", seq: 1, note: "hi" }), reason: "no-metrics" },
  { what: "5 MB", payload: HUGE, reason: "too-large" },
];

test("each malformed message is a dead letter with its bytes, and what follows it arrives", { skip, timeout: 120_000 }, async (t) => {
  const kafka = await sharedKafka();
  const mosquitto = await startMosquitto(t);
  const topics = jobTopics();
  const name = uniqueName("malformed");
  const config = {
    applicationId: name,
    kafka: { brokers: kafka.bootstrap },
    mqtt: { url: mosquitto.url, clientId: name },
    topics,
    topicDefaults: { partitions: 2 },
    state: { dir: tempDir(t, "malformed-state") },
    http: { port: 0 },
  };
  assert.equal((await runCli(t, ["topics", "create"], { config })).code, 0);
  const ingress = await spawnCli(t, ["ingress"], { config });
  const worker = await spawnCli(t, ["worker"], { config });
  await ingress.waitForOutput(/ingress takes telemetry/);

  const device = await connectAsync(mosquitto.url);
  t.after(() => device.endAsync());
  for (const [index, { payload }] of BAD.entries()) {
    await device.publishAsync("t/demo/d/d1/telemetry", payload, { qos: 1 });
    await device.publishAsync("t/demo/d/d1/telemetry", good(index), { qos: 1 });
  }

  const log = new KafkaLog({ brokers: kafka.bootstrap, clientId: name, logger: pino({ level: "silent" }) });
  t.after(() => log.close());
  const letters = await waitFor(
    "every malformed message is a dead letter",
    async () => {
      const records = await readTopic(log, topics.dlq);
      return records.length >= BAD.length ? records : undefined;
    },
    { deadlineMs: 30_000, intervalMs: 100 },
  );
  assert.equal(letters.length, BAD.length);
  for (const { what, payload, reason } of BAD) {
    const cut = payload.length > 1_000_000;
    const letter = letters.find(
      (record) => record.headers.get("dlq.reason") === reason && (cut || (record.value ?? Buffer.alloc(0)).equals(payload)),
    );
    assert.ok(letter !== undefined, `${what}: ${letters.map((record) => record.headers.get("dlq.reason")).join()}`);
    assert.equal(letter.key, "demo|d1", what);
    if (!cut) continue;
    assert.deepEqual(letter.value, payload.subarray(0, 65_536));
    assert.equal(letter.headers.get("dlq.length"), String(payload.length));
    assert.equal(letter.headers.get("dlq.sha256"), createHash("sha256").update(payload).digest("hex"));
  }
  await waitFor("every good message is normalized", async () => (await readTopic(log, topics.normalized)).length >= BAD.length, {
    deadlineMs: 20_000,
  });
  assert.deepEqual(
    parseAll<NormalizedRecord>(await readTopic(log, topics.normalized)).map((record) => record.seq),
    BAD.map((_, index) => index),
  );
  assert.equal((await worker.stop()).code, 0);
  assert.equal((await ingress.stop()).code, 0);
  assert.equal((await readTopic(log, topics.dlq)).length, BAD.length, "nothing is retried");
});
