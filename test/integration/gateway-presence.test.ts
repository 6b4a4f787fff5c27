/** Presence of devices behind `sluice gateway` with an uplink to a real Kafka: wills, an outage, restarts. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { pino } from "pino";
import type { MqttClient } from "mqtt";
import { KafkaLog } from "../../eventlog/kafka/kafka-log.ts";
import { freePort } from "../support/free-port.ts";
import { startGateway } from "../support/gateway.ts";
import { startKafka } from "../support/kafka.ts";
import { need } from "../support/need.ts";
import { runCli, type CliProcess } from "../support/spawn-cli.ts";
import { jobTopics, readTopic } from "../support/telemetry.ts";
import { tempDir } from "../support/temp-dir.ts";
import { uniqueName } from "../support/unique-name.ts";
import { waitFor } from "../support/wait-for.ts";
import { publisher } from "./ingress-support.ts";

/** A device with a retained state and a Last Will, as docs/admission.md advises. */
async function device(t: TestContext, url: string, id: string): Promise<MqttClient> {
  const topic = `t/acme/d/${id}/state`;
  const will = { topic, payload: Buffer.from('{"status":"offline","reason":"will"}'), qos: 1, retain: true } as const;
  const client = await publisher(t, url, { will, clientId: id });
  const birth = (): void => void client.publishAsync(topic, "online", { qos: 1, retain: true }).catch(() => undefined);
  client.on("connect", birth);
  birth();
  return client;
}

function lose(client: MqttClient): void {
  client.options.reconnectPeriod = 0;
  client.stream.destroy();
}

test(
  "a gateway's devices are online and offline by their states and wills, also of during an outage; its stop, its end and the outage flap nobody",
  { skip: await need("kafka"), timeout: 120_000 },
  async (t) => {
    const kafka = await startKafka(t, { proxied: true });
    const [proxy] = kafka.proxies;
    const name = uniqueName("gateway-presence");
    const port = await freePort();
    const presence = { topic: `${name}-presence`, offlineHoldMs: 1_000, reconnectHoldMs: 3_000 };
    const common = { applicationId: name, topics: jobTopics(), topicDefaults: { partitions: 2 }, http: { port: 0 }, presence };
    assert.equal((await runCli(t, ["topics", "create"], { config: { ...common, kafka: { brokers: kafka.bootstrap } } })).code, 0);
    const config = {
      ...common,
      kafka: { brokers: [proxy.address], requestTimeoutMs: 2_000 },
      gateway: {
        id: "g1",
        listen: { port, anonymous: true },
        store: { dir: tempDir(t, "gateway-store"), minFreeBytes: 0 },
        uplink: { minBackOffMs: 50, maxBackOffMs: 200 },
      },
    };
    const start = (): Promise<CliProcess> => startGateway(t, config);
    const log = new KafkaLog({ brokers: kafka.bootstrap, clientId: name, logger: pino({ level: "silent" }) });
    t.after(() => log.close());
    const rows = async (id: string): Promise<{ status: string; reason: string; sinceTs: number; gateway: string }[]> =>
      (await readTopic(log, presence.topic))
        .filter(({ key }) => key === `acme|${id}`)
        .map(({ value }) => JSON.parse(String(value)) as { status: string; reason: string; sinceTs: number; gateway: string });
    const comes = (id: string, wanted: string[]): Promise<unknown> =>
      waitFor(
        `${id}: ${wanted.join(", ")}`,
        async () => (await rows(id)).map(({ status, reason }) => `${status} ${reason}`).join() === wanted.join(),
        { deadlineMs: 20_000, intervalMs: 100 },
      );

    let gateway = await start();
    const url = `mqtt://127.0.0.1:${port}`;
    const [a, b, c] = [await device(t, url, "a"), await device(t, url, "b"), await device(t, url, "c")];
    for (const id of ["a", "b", "c"]) await comes(id, ["online state"]);
    assert.equal((await rows("a"))[0].gateway, "g1");
    lose(a);
    await comes("a", ["online state", "offline will"]);

    await gateway.stop();
    gateway = await start();
    await waitFor("b is back", () => b.connected && c.connected);
    await gateway.waitForOutput(/the uplink is up/);
    proxy.refuse();
    await b.publishAsync("t/acme/d/b/telemetry", "{}", { qos: 1 });
    await gateway.waitForOutput(/the uplink (is down|takes nothing now)/);
    const before = Date.now();
    lose(c);
    const d = await device(t, url, "d");
    await d.publishAsync("t/acme/d/d/telemetry", "{}", { qos: 1 });
    const after = Date.now();
    await gateway.kill("SIGKILL");
    gateway = await start();
    proxy.calm();
    await comes("c", ["online state", "offline will"]);
    await comes("d", ["online state"]);
    const [, offline] = await rows("c");
    const [online] = await rows("d");
    for (const { sinceTs } of [offline, online]) assert.ok(sinceTs >= before && sinceTs <= after, `${before} ${sinceTs} ${after}`);
    await comes("b", ["online state"]);
    await gateway.stop();
  },
);
