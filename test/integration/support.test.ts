import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { Kafka as KafkaClient, logLevel, CompressionTypes } from "kafkajs";
import mqtt from "mqtt";
import { consumeAll, consumeHeaders } from "../support/console-consumer.ts";
import { startKafka } from "../support/kafka.ts";
import { startMosquitto } from "../support/mosquitto.ts";
import { need } from "../support/need.ts";
import { startRegistry } from "../support/registry.ts";
import { sharedKafka } from "../support/shared-kafka.ts";
import { uniqueName } from "../support/unique-name.ts";
import { waitFor } from "../support/wait-for.ts";

const noKafka = await need("kafka", "kcat");
const noMosquitto = await need("mosquitto");
const noRegistry = await need("registry");

test("kcat reads exact keys, values and headers, and only committed records", { skip: noKafka, timeout: 120_000 }, async () => {
  const kafka = await sharedKafka();
  const topic = uniqueName("console");
  const client = new KafkaClient({ brokers: kafka.bootstrap, logLevel: logLevel.NOTHING });
  const admin = client.admin();
  await admin.connect();
  await admin.createTopics({ topics: [{ topic, numPartitions: 2 }], waitForLeaders: true });
  await admin.disconnect();
  const producer = client.producer({ transactionalId: uniqueName("txn"), idempotent: true, maxInFlightRequests: 1 });
  await producer.connect();
  const binary = Buffer.from([0, 10, 255, 32, 10]);
  const committed = await producer.transaction();
  await committed.send({
    topic,
    compression: CompressionTypes.None,
    messages: [
      { partition: 0, key: "a|1", value: "one\ntwo", timestamp: "1700000000000", headers: { "dlq.reason": "not,json" } },
      { partition: 0, key: null, value: null },
      { partition: 1, key: binary, value: binary },
    ],
  });
  await committed.commit();
  const aborted = await producer.transaction();
  await aborted.send({ topic, messages: [{ partition: 1, key: "no", value: "no" }] });
  await aborted.abort();
  await producer.disconnect();

  const records = await consumeAll(kafka.bootstrapServers, topic);
  assert.deepEqual(
    records.map(({ partition, offset, key, value }) => ({ partition, offset, key: key && String(key), value: value && String(value) })),
    [
      { partition: 0, offset: 0, key: "a|1", value: "one\ntwo" },
      { partition: 0, offset: 1, key: null, value: null },
      { partition: 1, offset: 0, key: String(binary), value: String(binary) },
    ],
  );
  assert.equal(records[0].timestamp, 1700000000000);
  assert.deepEqual(records[2].value, binary);
  const headers = await consumeHeaders(kafka.bootstrapServers, topic);
  assert.equal(headers.get("0/0")?.get("dlq.reason"), "not,json");
});

test("a broker of one's own stops on SIGTERM and starts again on the same ports", { skip: noKafka, timeout: 180_000 }, async (t) => {
  const kafka = await startKafka(t, { brokers: 1, config: { "log.retention.ms": "-1" } });
  await kafka.stop();
  assert.deepEqual(kafka.pids, [0]);
  await kafka.restart();
  const status = spawnSync("grep", ["-c", "^", `/proc/${kafka.pids[0]}/status`]).status;
  assert.equal(status, 0);
});

test("a child process ends when its parent is killed with -9", { timeout: 30_000 }, async () => {
  const script = `import { spawnGuarded } from ${JSON.stringify(new URL("../support/child-process.ts", import.meta.url).href)};
    const child = await spawnGuarded("sleep", ["1000"]);
    console.log(child.pid);
    process.kill(process.pid, "SIGKILL");`;
  const parent = spawnSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" });
  const pid = Number(parent.stdout);
  assert.ok(pid > 0, parent.stderr);
  await waitFor("the child is gone", () => {
    try {
      process.kill(pid, 0);
      return false;
    } catch {
      return true;
    }
  });
});

test("Mosquitto queues for an absent persistent client over a restart", { skip: noMosquitto, timeout: 60_000 }, async (t) => {
  const broker = await startMosquitto(t);
  const first = await mqtt.connectAsync(broker.url, { clientId: "absent", clean: false });
  await first.subscribeAsync("a", { qos: 1 });
  await first.endAsync();
  const publisher = await mqtt.connectAsync(broker.url);
  for (let index = 0; index < 2000; index += 1) await publisher.publishAsync("a", String(index), { qos: 1 });
  await publisher.endAsync();
  await broker.stop();
  await broker.restart();
  const seen: string[] = [];
  const second = mqtt.connect(broker.url, { clientId: "absent", clean: false });
  t.after(() => second.endAsync(true));
  second.on("message", (_topic, payload) => seen.push(payload.toString()));
  await waitFor("all queued messages", () => seen.length === 2000);
  assert.deepEqual(seen.slice(0, 3), ["0", "1", "2"]);
});

test("the registry answers Confluent's API", { skip: noRegistry, timeout: 120_000 }, async (t) => {
  const registry = await startRegistry(t);
  const answer = await fetch(`${registry.url}/subjects/x-value/versions`, {
    method: "POST",
    headers: { "content-type": "application/vnd.schemaregistry.v1+json" },
    body: JSON.stringify({ schema: '{"type":"string"}' }),
  });
  assert.equal(answer.status, 200);
});
