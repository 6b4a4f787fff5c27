/** kill -9 of `sluice gateway` while its uplink to a real Kafka is down, and while it catches up: nothing acknowledged to a device is lost. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { pino } from "pino";
import { KafkaLog } from "../../eventlog/kafka/kafka-log.ts";
import type { NormalizedRecord } from "../../processors/formats/records.ts";
import { freePort } from "../support/free-port.ts";
import { startGateway } from "../support/gateway.ts";
import { GatewayDevices, faultsOf } from "../support/gateway-devices.ts";
import { startKafka } from "../support/kafka.ts";
import { need } from "../support/need.ts";
import { spawnCli, runCli, type CliProcess } from "../support/spawn-cli.ts";
import { jobTopics, parseAll, readTopic, waitUntilDrained } from "../support/telemetry.ts";
import { tempDir } from "../support/temp-dir.ts";
import { uniqueName } from "../support/unique-name.ts";
import { waitFor } from "../support/wait-for.ts";

const DEVICES = 10;
const STEP = 1_000;

test(
  "uplink cut, kill -9 while it is down, uplink back and silent, kill -9 while catching up: lost 0, order kept, doubled 0 after dedupe",
  { skip: await need("kafka"), timeout: 120_000 },
  async (t) => {
    const kafka = await startKafka(t, { proxied: true });
    const [proxy] = kafka.proxies;
    const topics = jobTopics();
    const name = uniqueName("gateway");
    const port = await freePort();
    const common = { applicationId: name, topics, topicDefaults: { partitions: 4 }, http: { port: 0 } };
    const direct = { ...common, kafka: { brokers: kafka.bootstrap }, state: { dir: tempDir(t, "gateway-state") } };
    assert.equal((await runCli(t, ["topics", "create"], { config: direct })).code, 0);
    const config = {
      ...common,
      kafka: { brokers: [proxy.address], requestTimeoutMs: 2_000 },
      gateway: {
        id: "g1",
        listen: { port, anonymous: true },
        store: { dir: tempDir(t, "gateway-store"), minFreeBytes: 0 },
        // slow enough that a kill finds it catching up
        uplink: { minBackOffMs: 50, maxBackOffMs: 200, batchMessages: 100, maxBytesPerSecond: 150_000 },
      },
    };
    const start = (): Promise<CliProcess> => startGateway(t, config);
    let gateway = await start();
    await gateway.waitForOutput(/the uplink is up/);
    const log = new KafkaLog({ brokers: kafka.bootstrap, clientId: name, logger: pino({ level: "silent" }) });
    t.after(() => log.close());
    const devices = new GatewayDevices(t, `mqtt://127.0.0.1:${port}`, DEVICES);
    let steps = 0;
    const more = () => {
      const wanted = ++steps * STEP;
      return waitFor(`${wanted} messages acknowledged`, () => devices.acknowledged.size >= wanted, { deadlineMs: 30_000 });
    };

    await more();
    proxy.refuse();
    await more();
    await gateway.kill("SIGKILL");
    gateway = await start();
    await more();
    proxy.calm();
    await gateway.waitForOutput(/the uplink is up/);
    proxy.shape("both", { stalled: true });
    await more();
    proxy.calm();
    const arrived = async (): Promise<number> => (await readTopic(log, topics.raw)).length;
    const before = await arrived();
    await waitFor("it catches up", async () => (await arrived()) > before + 200, { intervalMs: 100, deadlineMs: 20_000 });
    await gateway.kill("SIGKILL");
    gateway = await start();
    devices.stop();
    await waitFor("the devices are done", () => devices.underWay === 0, { deadlineMs: 20_000 });

    const identity = (value: Buffer | null): string => {
      const { deviceId, seq } = JSON.parse(String(value)) as { deviceId: string; seq: number };
      return `${deviceId}/${seq}`;
    };
    const raw = await waitFor(
      "every acknowledged message is in raw",
      async () => {
        const records = await readTopic(log, topics.raw);
        return (
          faultsOf(
            records.map(({ value }) => identity(value)),
            devices.acknowledged,
          ).lost.length === 0 && records
        );
      },
      { deadlineMs: 40_000, intervalMs: 250 },
    );
    assert.equal((await gateway.stop()).code, 0, gateway.stderr());
    const { overtaken, doubled } = faultsOf(
      raw.map(({ value }) => identity(value)),
      devices.acknowledged,
    );
    assert.deepEqual(overtaken, [], "the order of each device");
    const [record] = raw;
    assert.equal(record.headers.get("ingress.id"), "g1");
    assert.equal(record.timestamp, Number(record.headers.get("ingress.ts")));

    const worker = await spawnCli(t, ["worker"], { config: direct });
    await waitUntilDrained(log, name, topics.raw, 60_000);
    assert.equal((await worker.stop()).code, 0, worker.stderr());
    const normalized = parseAll<NormalizedRecord>(await readTopic(log, topics.normalized)).map(
      ({ deviceId, seq }) => `${deviceId}/${String(seq)}`,
    );
    assert.deepEqual(normalized.toSorted(), [...devices.acknowledged].sort(), "each message once");
    t.diagnostic(`${devices.acknowledged.size} acknowledged, ${doubled} doubled in raw, ${normalized.length} normalized`);
  },
);
