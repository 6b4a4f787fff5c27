import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { startMosquitto } from "../support/mosquitto.ts";
import { need } from "../support/need.ts";
import { sharedKafka } from "../support/shared-kafka.ts";
import { runCli, spawnCli } from "../support/spawn-cli.ts";
import { tempDir } from "../support/temp-dir.ts";
import { uniqueName } from "../support/unique-name.ts";
import { waitFor } from "../support/wait-for.ts";

const noKafka = await need("kafka");
const noServices = await need("kafka", "mosquitto");

/** A configuration whose topics and group nobody else has. */
async function ownConfig(t: TestContext) {
  const kafka = await sharedKafka();
  const name = uniqueName("cli");
  const topics = Object.fromEntries(
    ["raw", "normalized", "aggregates", "alerts", "dlq", "deviceState"].map((topic) => [topic, `${name}-${topic}`]),
  );
  return {
    applicationId: name,
    kafka: { brokers: kafka.bootstrap },
    topics,
    topicDefaults: { partitions: 2 },
    state: { dir: tempDir(t, "state") },
    http: { port: 0 },
    log: { level: "info" },
  };
}

test("worker and ingress refuse to start without topics, and on topics with a wrong setting, and name it", { skip: noKafka }, async (t) => {
  const config = await ownConfig(t);
  for (const command of ["worker", "ingress"]) {
    const { code, stderr } = await runCli(t, [command], { config });
    assert.equal(code, 1);
    assert.match(stderr, new RegExp(`topic ${config.topics.raw} does not exist`));
  }
  const verify = await runCli(t, ["topics", "verify", "--json"], { config });
  assert.equal(verify.code, 1);
  assert.equal((JSON.parse(verify.stdout) as { problems: unknown[] }).problems.length, 6);

  const create = await runCli(t, ["topics", "create", "--json"], { config });
  assert.equal(create.code, 0, create.stderr + create.stdout);
  assert.deepEqual((JSON.parse(create.stdout) as { created: string[] }).created.sort(), Object.values(config.topics).sort());
  assert.equal((await runCli(t, ["topics", "verify"], { config })).code, 0);

  const { code, stderr } = await runCli(t, ["worker"], { config: { ...config, topicDefaults: { partitions: 3 } } });
  assert.equal(code, 1);
  assert.match(stderr, new RegExp(`topic ${config.topics.raw}: partitions is 2, must be 3`));
});

test("a broker that is not there is a failure that names it", { skip: noKafka }, async (t) => {
  const { code, stderr } = await runCli(t, ["topics", "verify"], { config: { kafka: { brokers: ["127.0.0.1:1"] } } });
  assert.equal(code, 1);
  assert.match(stderr, /127\.0\.0\.1:1/);
});

test("no log line, not even at trace, holds Kafka's or the MQTT broker's password", { skip: noServices }, async (t) => {
  const mosquitto = await startMosquitto(t);
  const base = await ownConfig(t);
  const url = mosquitto.url.replace("//", "//someone:secret-in-url@");
  const config = { ...base, mqtt: { url, username: "someone", clientId: base.applicationId }, log: { level: "trace" } };
  const env = { SLUICE_MQTT_PASSWORD: "secret-of-mqtt", SLUICE_KAFKA_SASL_PASSWORD: "secret-of-kafka" };
  assert.equal((await runCli(t, ["topics", "create"], { config: base })).code, 0);
  const ingress = await spawnCli(t, ["ingress"], { config, env: { SLUICE_MQTT_PASSWORD: env.SLUICE_MQTT_PASSWORD } });
  await ingress.waitForOutput(/ingress takes telemetry/);
  await mosquitto.stop();
  await ingress.waitForOutput(/mqtt connection error/);
  await ingress.stop();

  // A listener without SASL refuses the handshake, again and again.
  const sasl = { mechanism: "plain", username: "someone" };
  const refused = await spawnCli(t, ["ingress"], { config: { ...config, kafka: { ...base.kafka, sasl } }, env });
  await refused.waitForOutput(/SaslHandshake/);
  await refused.stop();
  for (const service of [ingress, refused]) assert.doesNotMatch(service.stderr() + service.stdout(), /secret-/);
});

test(
  "simulate, Mosquitto, ingress, Kafka, worker, HTTP: all of a fleet's devices arrive, and everything stops cleanly",
  { skip: noServices },
  async (t) => {
    const mosquitto = await startMosquitto(t);
    const base = await ownConfig(t);
    const config = { ...base, mqtt: { url: mosquitto.url, clientId: base.applicationId }, ingress: { http: { port: 0 } } };
    assert.equal((await runCli(t, ["topics", "create"], { config })).code, 0);
    const ingress = await spawnCli(t, ["ingress"], { config });
    const worker = await spawnCli(t, ["worker"], { config });
    const [, url] = await worker.waitForOutput(/"url":"(http:[^"]+)"/);
    await ingress.waitForOutput(/ingress takes telemetry/);

    const simulate = await runCli(t, ["simulate", "--json", "--devices", "10", "--count", "500", "--rate", "0", "--seed", "3"], { config });
    assert.equal(simulate.code, 0, simulate.stderr);
    assert.equal((JSON.parse(simulate.stdout) as { sent: number }).sent, 500);

    const devices = await waitFor(
      "ten devices over HTTP",
      async () => {
        const answer = await fetch(`${url}/v1/tenants/demo/devices`);
        if (!answer.ok) return undefined;
        const body = (await answer.json()) as { devices: { deviceId: string }[] };
        return body.devices.length === 10 ? body.devices : undefined;
      },
      { deadlineMs: 30_000 },
    );
    await waitFor("every message in a ledger", async () => {
      let sum = 0;
      for (const { deviceId } of devices) {
        sum += ((await (await fetch(`${url}/v1/tenants/demo/devices/${deviceId}/ledger`)).json()) as { received: number }).received;
      }
      return sum === 500;
    });
    assert.deepEqual(await ingress.stop(), { code: 0, signal: null });
    assert.deepEqual(await worker.stop(), { code: 0, signal: null });
  },
);
