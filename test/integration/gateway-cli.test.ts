/** A device behind `sluice gateway`, whose uplink is a broker, as people see it: commands, shadow and presence, by worker, Kafka, ingress, Mosquitto. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { connectAsync } from "mqtt";
import { readTable } from "../../bridge/read-table.ts";
import { TestDevice } from "../support/command-device.ts";
import { openKafkaLog } from "../support/command-rig.ts";
import { startMosquitto } from "../support/mosquitto.ts";
import { need } from "../support/need.ts";
import { runCommand } from "../support/run-command.ts";
import { sharedKafka } from "../support/shared-kafka.ts";
import { runCli, spawnCli } from "../support/spawn-cli.ts";
import { jobTopics } from "../support/telemetry.ts";
import { tempDir } from "../support/temp-dir.ts";
import { uniqueName } from "../support/unique-name.ts";
import { waitFor } from "../support/wait-for.ts";

const PASSWORD = "secret";

test(
  "behind a gateway a device carries out a command sent over HTTP, becomes as its shadow says, and its Last Will is known as presence",
  { skip: await need("kafka", "mosquitto"), timeout: 120_000 },
  async (t) => {
    const [mosquitto, kafka] = await Promise.all([startMosquitto(t), sharedKafka()]);
    const name = uniqueName("gateway-cli");
    const passwordsFile = join(tempDir(t, "passwords"), "passwords");
    const made = await runCommand("mosquitto_passwd", ["-b", "-c", passwordsFile, "demo/d/d1", PASSWORD], { timeoutMs: 10_000 });
    assert.equal(made.code, 0, made.stderr);
    const config = {
      applicationId: name,
      kafka: { brokers: kafka.bootstrap },
      mqtt: { url: mosquitto.url, clientId: name, trustGatewayTime: {} },
      topics: jobTopics(),
      shadow: { enabled: true, updatesTopic: `${name}-updates`, topic: `${name}-shadows` },
      commands: { enabled: true, topic: `${name}-commands`, statusTopic: `${name}-status`, ackTopic: `${name}-acks` },
      presence: { topic: `${name}-presence`, offlineHoldMs: 0, reconnectHoldMs: 0 },
      topicDefaults: { partitions: 2 },
      state: { dir: tempDir(t, "state") },
      http: { port: 0 },
      gateway: {
        id: "g1",
        listen: { port: 0, passwordsFile },
        store: { dir: tempDir(t, "gateway-store"), minFreeBytes: 0 },
        uplink: { to: "mqtt" },
        downlink: {},
      },
    };
    const log = openKafkaLog(t, kafka.bootstrap);
    const create = await runCli(t, ["topics", "create", "--json"], { config });
    assert.equal(create.code, 0, create.stderr + create.stdout);
    const commands = ["ingress", "worker", "gateway"] as const;
    const [ingress, worker, gateway] = await Promise.all(commands.map((command) => spawnCli(t, [command], { config })));
    const [, url] = await worker.waitForOutput(/"url":"(http:[^"]+)"/);
    const [, port] = await gateway.waitForOutput(/"port":(\d+),"uplink"/);
    await ingress.waitForOutput(/commands are carried out/);
    await ingress.waitForOutput(/devices are told what is desired/);

    const login = { username: "demo/d/d1", password: PASSWORD };
    const device = new TestDevice(t, `mqtt://127.0.0.1:${port}`, { deviceId: "d1", protocolVersion: 4, ...login });
    device.answer = { result: "done" };
    await device.connect();
    const json = { "content-type": "application/json" };
    const path = `${url}/v1/tenants/demo/devices/d1`;
    const sent = await fetch(`${path}/commands`, { method: "POST", headers: json, body: '{"name":"blink"}' });
    assert.equal(sent.status, 202, await sent.text());
    const status = await waitFor(
      "the device's answer over HTTP",
      async () => {
        const found = (await (await fetch(`${url}${sent.headers.get("location") ?? ""}`)).json()) as { state: string; result: string };
        return found.state === "acknowledged" ? found : undefined;
      },
      { deadlineMs: 20_000 },
    );
    assert.equal(status.result, "done");

    const will = { topic: "t/demo/d/d1/state", payload: Buffer.from("offline"), qos: 1, retain: true } as const;
    const options = { protocolVersion: 5, clientId: "shadow", reconnectPeriod: 0, will, ...login } as const;
    const shadowed = await connectAsync(`mqtt://127.0.0.1:${port}`, options);
    shadowed.on("message", (_topic, payload) => {
      const { delta } = JSON.parse(payload.toString()) as { delta: object };
      shadowed.publish("t/demo/d/d1/shadow/reported", JSON.stringify({ state: delta }), { qos: 1 });
    });
    await shadowed.subscribeAsync("t/demo/d/d1/shadow/delta", { qos: 1 });
    await shadowed.publishAsync("t/demo/d/d1/state", "online", { qos: 1, retain: true });
    const patch = (): Promise<Response> => fetch(`${path}/shadow`, { method: "PATCH", headers: json, body: '{"interval":5}' });
    await waitFor("the worker takes changes", async () => (await patch()).status === 200, { deadlineMs: 20_000 });
    await waitFor(
      "the device is as desired",
      async () => {
        const { reported, delta } = (await (await fetch(`${path}/shadow`)).json()) as { reported?: object; delta?: object };
        assert.deepEqual([reported, delta], [{ interval: 5 }, undefined]);
        return true;
      },
      { deadlineMs: 20_000 },
    );

    await device.disconnect();
    shadowed.stream.destroy();
    await waitFor(
      "its will is known",
      async () => {
        let last = "";
        await readTable(log, config.presence.topic, (_key, value) => (last = String(value)));
        return last.includes('"status":"offline"');
      },
      { deadlineMs: 20_000 },
    );
    for (const service of [gateway, ingress, worker]) assert.deepEqual(await service.stop(), { code: 0, signal: null });
  },
);
