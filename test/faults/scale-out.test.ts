/** Two replicas of `sluice ingress` between Mosquitto and a real Kafka: one is killed, then one frozen past its session. Lost 0, order kept. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { connectAsync } from "mqtt";
import { pino } from "pino";
import { KafkaLog } from "../../eventlog/kafka/kafka-log.ts";
import { startMosquitto } from "../support/mosquitto.ts";
import { need } from "../support/need.ts";
import { sharedKafka } from "../support/shared-kafka.ts";
import { runCli, spawnCli, type CliProcess } from "../support/spawn-cli.ts";
import { jobTopics, readTopic } from "../support/telemetry.ts";
import { tempDir } from "../support/temp-dir.ts";
import { uniqueName } from "../support/unique-name.ts";
import { waitFor } from "../support/wait-for.ts";

const skip = await need("kafka", "mosquitto");
const DEVICES = 20;
const MAX_UNDER_WAY = 400;
const SESSION_TIMEOUT_MS = 2_000;
/** Published while a fault lasts, at the least. */
const MESSAGES_A_FAULT = 2_000;

test(
  "hash slots: kill -9 of one replica, then a replica frozen past its session and awake again: none lost, every device in order",
  { skip, timeout: 120_000 },
  async (t) => {
    const kafka = await sharedKafka();
    const mosquitto = await startMosquitto(t, { config: ["set_tcp_nodelay true"] });
    const topics = jobTopics();
    const name = uniqueName("scale-out");
    const config = {
      applicationId: name,
      kafka: { brokers: kafka.bootstrap, sessionTimeoutMs: SESSION_TIMEOUT_MS },
      mqtt: { url: mosquitto.url, clientId: name, scaleOut: { mode: "hash", slots: 4 } },
      topics,
      topicDefaults: { partitions: 4 },
      state: { dir: tempDir(t, "scale-out-state") },
    };
    assert.equal((await runCli(t, ["topics", "create"], { config })).code, 0);
    const start = (): Promise<CliProcess> => spawnCli(t, ["ingress"], { config });
    /** What it was assigned last. */
    const slotsOf = (replica: CliProcess): number => {
      const last =
        replica
          .stderr()
          .match(/"lanes":\[[^\]]*\]/g)
          ?.at(-1) ?? "";
      return last.match(/\d/g)?.length ?? 0;
    };
    const replicas = await Promise.all([start(), start()]);
    await waitFor("two slots each", () => replicas.every((replica) => slotsOf(replica) === 2), { deadlineMs: 30_000 });

    const device = await connectAsync(mosquitto.url);
    t.after(() => device.endAsync(true));
    const acknowledged: number[] = Array.from({ length: DEVICES }, () => 0);
    let sent = 0;
    let underWay = 0;
    const publishSome = (): void => {
      while (underWay + DEVICES <= MAX_UNDER_WAY) {
        const seq = sent++;
        for (let n = 0; n < DEVICES; n++) {
          underWay++;
          device.publish(
            `t/demo/d/d${n}/telemetry`,
            JSON.stringify({ deviceId: `d${n}`, bootId: "b", seq, tempC: 1 }),
            { qos: 1 },
            (error) => {
              underWay--;
              if (!error) acknowledged[n]++;
            },
          );
        }
      }
    };
    const timer = setInterval(publishSome, 20);
    t.after(() => clearInterval(timer));
    const some = async (): Promise<void> => {
      const until = sent + MESSAGES_A_FAULT / DEVICES;
      await waitFor("messages go on", () => sent >= until, { deadlineMs: 30_000 });
    };

    await some();
    await replicas[0].kill("SIGKILL");
    await some();
    await waitFor("the other replica has all slots", () => slotsOf(replicas[1]) === 4, { deadlineMs: 20_000 });
    replicas[0] = await start();
    await waitFor("two slots each again", () => replicas.every((replica) => slotsOf(replica) === 2), { deadlineMs: 30_000 });
    await some();
    replicas[1].freeze();
    await waitFor("the frozen one is replaced", () => slotsOf(replicas[0]) === 4, { deadlineMs: 20_000 });
    await some();
    replicas[1].thaw();
    await replicas[1].waitForOutput(/stood still/, 10_000);
    await waitFor("the frozen one takes part again", () => replicas.every((replica) => slotsOf(replica) === 2), { deadlineMs: 30_000 });
    await some();
    clearInterval(timer);
    await waitFor("the publisher is done", () => underWay === 0, { deadlineMs: 30_000 });

    const log = new KafkaLog({ brokers: kafka.bootstrap, clientId: name, logger: pino({ level: "silent" }) });
    t.after(() => log.close());
    let records = 0;
    const found = await waitFor(
      "every acknowledged message is in raw",
      async () => {
        const seqs = new Map<string, number[]>();
        const raw = await readTopic(log, topics.raw);
        records = raw.length;
        for (const { value } of raw) {
          const { deviceId, seq } = JSON.parse(String(value)) as { deviceId: string; seq: number };
          seqs.set(deviceId, [...(seqs.get(deviceId) ?? []), seq]);
        }
        const first = Array.from({ length: DEVICES }, (_, n) => [...new Set(seqs.get(`d${n}`))]);
        return first.every((list, n) => list.length === acknowledged[n]) ? first : undefined;
      },
      { deadlineMs: 30_000, intervalMs: 250 },
    );
    for (const list of found)
      assert.deepEqual(
        list,
        list.toSorted((a, b) => a - b),
      );
    for (const replica of replicas) assert.equal((await replica.stop()).code, 0, replica.stderr());
    const total = acknowledged.reduce((a, b) => a + b);
    t.diagnostic(`${total} messages, ${records - total} doubled in raw`);
  },
);
