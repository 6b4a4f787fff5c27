/** Worker and ingress on a Kafka that allows each no more than `sluice doctor --acls` lists, with everything on: all of it works. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { pino } from "pino";
import { ingressRights, workerRights } from "../../cli/acls.ts";
import { configSchema } from "../../cli/config/schema.ts";
import type { Finding } from "../../cli/doctor/finding.ts";
import { KafkaLog } from "../../eventlog/kafka/kafka-log.ts";
import { Acls, saslClientOf, startGuardedKafka, type User } from "../faults/acls.ts";
import { TestDevice } from "../support/command-device.ts";
import { startMosquitto } from "../support/mosquitto.ts";
import { need } from "../support/need.ts";
import { runCli, spawnCli } from "../support/spawn-cli.ts";
import { readTopic } from "../support/telemetry.ts";
import { tempDir } from "../support/temp-dir.ts";
import { waitFor } from "../support/wait-for.ts";

const skip = await need("kafka", "mosquitto");
/** Far above what the limit lets through in the time that it takes to send them. */
const MESSAGES = 200;
const LIMIT = { perSecond: 1, burst: 20, policy: "shed" } as const;
const TOKENS = { acme: "of-acme-and-long-enough", beta: "of-beta-and-long-enough" } as const;

test(
  "with the listed rights and no other: telemetry, shedding, registry, presence, stream and commands work, and nothing is refused",
  { skip, timeout: 120_000 },
  async (t) => {
    const [kafka, mosquitto] = await Promise.all([startGuardedKafka(t), startMosquitto(t)]);
    const features = {
      commands: { enabled: true },
      admission: { deviceRate: LIMIT },
      deviceRegistry: { mode: "auto-register" },
      presence: {},
      mqtt: { url: mosquitto.url, scaleOut: { mode: "hash", slots: 2 } },
      topicDefaults: { partitions: 2 },
    };
    const tokensFile = join(tempDir(t, "tokens"), "tokens.json");
    const tokens = Object.entries(TOKENS).map(([name, token]) => ({ name, token, tenants: [name], permissions: ["read", "command"] }));
    writeFileSync(tokensFile, JSON.stringify({ tokens }));
    const configOf = (user: User) => ({
      ...features,
      kafka: { brokers: [kafka.proxies[0].address], sasl: saslClientOf(user).config },
      state: { dir: tempDir(t, "state") },
      http: { port: 0, tokensFile },
    });
    const made = await runCli(t, ["topics", "create"], { config: { ...features, kafka: { brokers: kafka.bootstrap } } });
    assert.equal(made.code, 0, made.stderr);
    const acls = await Acls.connect(t, kafka);
    const listed = configSchema.parse(features);
    await acls.grant(workerRights(listed), "worker");
    await acls.grant(ingressRights(listed), "ingress");

    const start = (user: User) => spawnCli(t, [user], { config: configOf(user), env: saslClientOf(user).env });
    const [worker, ingress] = await Promise.all([start("worker"), start("ingress")]);
    const [, url] = await worker.waitForOutput(/"url":"(http:[^"]+)"/);
    await ingress.waitForOutput(/commands are carried out/);
    const stream = await openStream(t, `${url}/v1/stream`);

    const device = await new TestDevice(t, mosquitto.url, { tenant: "acme", deviceId: "d1", protocolVersion: 4 }).connect();
    const publisher = await new TestDevice(t, mosquitto.url, { tenant: "acme", deviceId: "publisher", protocolVersion: 4 }).connect();
    await publisher.publish("t/acme/d/d1/state", "online", { qos: 1, retain: true });
    // Of the device that is commanded: its answer must come through beside what is shed of it.
    for (let seq = 0; seq < MESSAGES; seq++)
      await publisher.publish("t/acme/d/d1/telemetry", JSON.stringify({ bootId: "b", seq, tempC: 20 }), { qos: 1 });

    const log = new KafkaLog({ brokers: kafka.bootstrap, clientId: "least-rights", logger: pino({ level: "silent" }) });
    t.after(() => log.close());
    const keysIn = async (topic: string): Promise<Set<string>> => new Set((await readTopic(log, topic)).map(({ key }) => String(key)));
    for (const [topic, key] of [
      [listed.topics.normalized, "acme|d1"],
      [listed.admission.shedTopic, "acme|d1"],
      ["iot.device.registry", "acme|d1"],
      ["iot.device.presence", "acme|d1"],
    ])
      await waitFor(`${key} in ${topic}`, async () => (await keysIn(topic)).has(key), { deadlineMs: 20_000, intervalMs: 200 });
    const own = { headers: { authorization: `Bearer ${TOKENS.acme}` } };
    const isOnline = async (): Promise<boolean> =>
      ((await (await fetch(`${url}/v1/tenants/acme/devices/d1`, own)).json()) as { presence?: { status: string } }).presence?.status ===
      "online";
    await waitFor("presence over HTTP", isOnline, { deadlineMs: 20_000, intervalMs: 200 });
    await waitFor("an event on the stream", () => stream().includes("event: normalized"));

    const commands = `${url}/v1/tenants/acme/devices/d1/commands`;
    const send = (token: string) =>
      fetch(commands, {
        method: "POST",
        headers: { authorization: `Bearer ${token}`, "content-type": "application/json", "idempotency-key": "once" },
        body: '{"name":"blink"}',
      });
    assert.equal((await send(TOKENS.beta)).status, 403);
    assert.equal((await send(TOKENS.acme)).status, 202);
    for (let seq = MESSAGES; seq < MESSAGES + LIMIT.burst; seq++)
      await publisher.publish("t/acme/d/d1/telemetry", JSON.stringify({ bootId: "b", seq, tempC: 20 }), { qos: 1 });
    await waitFor("the device's acknowledgement, over HTTP", async () => {
      const answer = await fetch(`${commands}/once`, { headers: { authorization: `Bearer ${TOKENS.acme}` } });
      return ((await answer.json()) as { state: string }).state === "acknowledged";
    });
    assert.equal(device.seen.get("once"), 1);

    for (const [user, service] of [
      ["worker", worker],
      ["ingress", ingress],
    ] as const) {
      const { stdout } = await runCli(t, ["doctor", "--json", "--role", user], { config: configOf(user), env: saslClientOf(user).env });
      const findings = (JSON.parse(stdout) as { findings: Finding[] }).findings.filter(({ check }) => check === "kafka.acls");
      assert.ok(!findings.some(({ severity }) => severity === "error"), JSON.stringify(findings));
      assert.equal((await service.stop()).code, 0, service.stderr());
      assert.doesNotMatch(service.stderr(), /AUTHORIZATION_FAILED|unauthorized/, user);
    }
  },
);

/** Returns what has come so far. */
async function openStream(t: TestContext, url: string): Promise<() => string> {
  const abort = new AbortController();
  t.after(() => abort.abort());
  const { body, status } = await fetch(url, { headers: { authorization: `Bearer ${TOKENS.acme}` }, signal: abort.signal });
  assert.equal(status, 200);
  let text = "";
  const read = async (): Promise<void> => {
    for await (const chunk of body as unknown as AsyncIterable<Uint8Array>) text += Buffer.from(chunk).toString();
  };
  read().catch(() => undefined);
  return () => text;
}
