/** kill -9 of `sluice ingress` under load, between Mosquitto and a real Kafka: nothing acknowledged is lost, and dedupe leaves each message once. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { connectAsync } from "mqtt";
import { pino } from "pino";
import { KafkaLog } from "../../eventlog/kafka/kafka-log.ts";
import type { NormalizedRecord } from "../../processors/formats/records.ts";
import { startMosquitto } from "../support/mosquitto.ts";
import { need } from "../support/need.ts";
import { sharedKafka } from "../support/shared-kafka.ts";
import { runCli, spawnCli, type CliProcess } from "../support/spawn-cli.ts";
import { jobTopics, parseAll, readTopic, waitUntilDrained } from "../support/telemetry.ts";
import { tempDir } from "../support/temp-dir.ts";
import { uniqueName } from "../support/unique-name.ts";
import { waitFor } from "../support/wait-for.ts";

const skip = await need("kafka", "mosquitto");
const KILLS = 4;
const DEVICES = 20;
const MAX_UNDER_WAY = 500;
const MESSAGES_PER_KILL = 1_500;

test(
  `${KILLS} kill -9 of the ingress: every acknowledged QoS 1 message is in raw, and once in normalized`,
  { skip, timeout: 180_000 },
  async (t) => {
    const kafka = await sharedKafka();
    const mosquitto = await startMosquitto(t);
    const topics = jobTopics();
    const name = uniqueName("ingress-kill");
    const config = {
      applicationId: name,
      kafka: { brokers: kafka.bootstrap },
      mqtt: { url: mosquitto.url, clientId: name },
      topics,
      topicDefaults: { partitions: 4 },
      state: { dir: tempDir(t, "ingress-kill-state") },
      http: { port: 0 },
    };
    assert.equal((await runCli(t, ["topics", "create"], { config })).code, 0);
    const start = async (): Promise<CliProcess> => {
      const ingress = await spawnCli(t, ["ingress"], { config });
      await ingress.waitForOutput(/ingress takes telemetry/);
      return ingress;
    };
    let ingress = await start();
    const log = new KafkaLog({ brokers: kafka.bootstrap, clientId: name, logger: pino({ level: "silent" }) });
    t.after(() => log.close());

    const device = await connectAsync(mosquitto.url);
    t.after(() => device.endAsync(true));
    const acknowledged = new Set<string>();
    let next = 0;
    let underWay = 0;
    const publishSome = (): void => {
      for (let i = 0; i < 10 && underWay < MAX_UNDER_WAY; i++) {
        const n = next++;
        const deviceId = `d${n % DEVICES}`;
        const seq = Math.floor(n / DEVICES);
        underWay++;
        device.publish(`t/demo/d/${deviceId}/telemetry`, JSON.stringify({ deviceId, bootId: "b", seq, tempC: n }), { qos: 1 }, (error) => {
          underWay--;
          if (!error) acknowledged.add(`${deviceId}/${seq}`);
        });
      }
    };
    const timer = setInterval(publishSome, 5);
    t.after(() => clearInterval(timer));
    for (let kill = 1; kill <= KILLS; kill++) {
      await waitFor(`${kill * MESSAGES_PER_KILL} messages acknowledged`, () => acknowledged.size >= kill * MESSAGES_PER_KILL, {
        deadlineMs: 60_000,
        intervalMs: 3,
      });
      await ingress.kill("SIGKILL");
      ingress = await start();
    }
    clearInterval(timer);
    await waitFor("the publisher is done", () => underWay === 0, { deadlineMs: 30_000 });

    const identity = (value: Buffer | null): string => {
      const { deviceId, seq } = JSON.parse(String(value)) as { deviceId: string; seq: number };
      return `${deviceId}/${seq}`;
    };
    const raw = await waitFor(
      "every acknowledged message is in raw",
      async () => {
        const records = await readTopic(log, topics.raw);
        const there = new Set(records.map((record) => identity(record.value)));
        return [...acknowledged].every((id) => there.has(id)) ? records : undefined;
      },
      { deadlineMs: 60_000, intervalMs: 250 },
    );
    assert.equal((await ingress.stop()).code, 0, ingress.stderr());

    const worker = await spawnCli(t, ["worker"], { config });
    await waitUntilDrained(log, name, topics.raw, 60_000);
    assert.equal((await worker.stop()).code, 0, worker.stderr());
    const normalized = parseAll<NormalizedRecord>(await readTopic(log, topics.normalized)).map(
      (record) => `${record.deviceId}/${String(record.seq)}`,
    );
    assert.deepEqual(normalized.toSorted(), [...acknowledged].sort(), "each message once");
    t.diagnostic(`${acknowledged.size} acknowledged, ${raw.length - acknowledged.size} doubled in raw, ${normalized.length} normalized`);
  },
);
