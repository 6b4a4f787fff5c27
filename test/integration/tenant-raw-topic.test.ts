/** A tenant with a raw topic of its own: one ingress, workers for everybody and workers for that tenant, the same output topics. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { connectAsync } from "mqtt";
import { pino } from "pino";
import { KafkaLog } from "../../eventlog/kafka/kafka-log.ts";
import { startMosquitto } from "../support/mosquitto.ts";
import { need } from "../support/need.ts";
import { sharedKafka } from "../support/shared-kafka.ts";
import { runCli, spawnCli } from "../support/spawn-cli.ts";
import { jobTopics, readTopic } from "../support/telemetry.ts";
import { tempDir } from "../support/temp-dir.ts";
import { uniqueName } from "../support/unique-name.ts";
import { waitFor } from "../support/wait-for.ts";

const skip = await need("kafka", "mosquitto");
const EVENTS = 20;
const TENANTS = ["acme", "beta", "gamma"];

test(
  "a tenant's telemetry goes into its own raw topic and is processed by its own workers, everybody else's as ever",
  { skip },
  async (t) => {
    const [kafka, mosquitto] = await Promise.all([sharedKafka(), startMosquitto(t)]);
    const topics = jobTopics();
    const name = uniqueName("raw-topic");
    const ownRaw = `${topics.raw}-acme`;
    const config = {
      applicationId: name,
      kafka: { brokers: kafka.bootstrap },
      mqtt: { url: mosquitto.url, clientId: name },
      topics,
      admission: { tenants: [{ tenant: "acme", rawTopic: ownRaw }] },
      topicDefaults: { partitions: 2 },
      state: { dir: tempDir(t, "state") },
      http: { port: 0 },
    };
    const ofAcme = { ...config, applicationId: `${name}-acme`, topics: { ...topics, raw: ownRaw }, state: { dir: tempDir(t, "acme") } };
    const made = await runCli(t, ["topics", "create", "--json"], { config });
    assert.ok((JSON.parse(made.stdout) as { created: string[] }).created.includes(ownRaw), made.stdout + made.stderr);

    const [ingress, all, acme] = await Promise.all([
      spawnCli(t, ["ingress"], { config }),
      spawnCli(t, ["worker"], { config }),
      spawnCli(t, ["worker"], { config: ofAcme }),
    ]);
    await ingress.waitForOutput(/ingress takes telemetry/);
    const client = await connectAsync(mosquitto.url);
    t.after(() => client.endAsync());
    for (let seq = 0; seq < EVENTS; seq++)
      for (const tenant of TENANTS)
        await client.publishAsync(`t/${tenant}/d/d1/telemetry`, JSON.stringify({ bootId: "b", seq, tempC: 20 }), { qos: 1 });

    const log = new KafkaLog({ brokers: kafka.bootstrap, clientId: name, logger: pino({ level: "silent" }) });
    t.after(() => log.close());
    const keysIn = async (topic: string): Promise<Record<string, number>> => {
      const counts: Record<string, number> = {};
      for (const { key } of await readTopic(log, topic)) counts[String(key)] = (counts[String(key)] ?? 0) + 1;
      return counts;
    };
    const each = (tenants: readonly string[]) => Object.fromEntries(tenants.map((tenant) => [`${tenant}|d1`, EVENTS]));
    await waitFor("every event is normalized", async () => (await readTopic(log, topics.normalized)).length >= TENANTS.length * EVENTS, {
      deadlineMs: 30_000,
      intervalMs: 200,
    });
    assert.deepEqual(await keysIn(ownRaw), each(["acme"]));
    assert.deepEqual(await keysIn(topics.raw), each(["beta", "gamma"]));
    assert.deepEqual(await keysIn(topics.normalized), each(TENANTS));
    for (const [worker, tenants] of [
      [all, ["beta", "gamma"]],
      [acme, ["acme"]],
    ] as const) {
      const [, url] = await worker.waitForOutput(/"url":"(http:[^"]+)"/);
      const answer = (await (await fetch(`${url}/v1/tenants`)).json()) as { tenants: { tenant: string }[] };
      assert.deepEqual(
        answer.tenants.map(({ tenant }) => tenant),
        tenants,
      );
    }
    for (const service of [ingress, all, acme]) assert.equal((await service.stop()).code, 0, service.stderr());
  },
);
