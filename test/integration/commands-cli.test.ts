/** Commands as people send them: over HTTP and with `sluice command`, through worker, Kafka, ingress and Mosquitto to a device. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { TestDevice } from "../support/command-device.ts";
import { startMosquitto } from "../support/mosquitto.ts";
import { need } from "../support/need.ts";
import { sharedKafka } from "../support/shared-kafka.ts";
import { runCli, spawnCli } from "../support/spawn-cli.ts";
import { tempDir } from "../support/temp-dir.ts";
import { uniqueName } from "../support/unique-name.ts";
import { waitFor } from "../support/wait-for.ts";
import { MutualTls } from "./mutual-tls.ts";

const skip = await need("kafka", "mosquitto", "openssl");

test("a command over HTTP and one from the command line reach the device, and both tell how it ended", { skip }, async (t) => {
  // The connection that commands go out on has files of its own to read, beside the intake's.
  const mutual = await MutualTls.create(t);
  const { certFile, keyFile } = await mutual.authority.issue("sluice-ingress");
  const [mosquitto, kafka] = await Promise.all([startMosquitto(t, { config: mutual.config }), sharedKafka()]);
  const name = uniqueName("cmd-cli");
  const names = ["raw", "normalized", "aggregates", "alerts", "dlq", "deviceState"];
  const config = {
    applicationId: name,
    kafka: { brokers: kafka.bootstrap },
    mqtt: { url: mutual.url, clientId: name, tls: { caFile: mutual.authority.caFile, certFile, keyFile } },
    topics: Object.fromEntries(names.map((topic) => [topic, `${name}-${topic}`])),
    commands: { enabled: true, topic: `${name}-commands`, statusTopic: `${name}-status`, ackTopic: `${name}-acks` },
    topicDefaults: { partitions: 2 },
    state: { dir: tempDir(t, "state") },
    http: { port: 0 },
    ingress: { http: { port: 0 } },
  };
  const create = await runCli(t, ["topics", "create", "--json"], { config });
  assert.equal(create.code, 0, create.stderr + create.stdout);
  assert.equal((JSON.parse(create.stdout) as { created: string[] }).created.length, 9);
  const device = await new TestDevice(t, mosquitto.url, { protocolVersion: 4 }).connect();
  device.answer = { result: "done" };
  const [ingress, worker] = await Promise.all([spawnCli(t, ["ingress"], { config }), spawnCli(t, ["worker"], { config })]);
  const [, url] = await worker.waitForOutput(/"url":"(http:[^"]+)"/);
  await ingress.waitForOutput(/commands are carried out/);

  const commands = `${url}/v1/tenants/demo/devices/device-1/commands`;
  const request = { method: "POST", headers: { "content-type": "application/json", "idempotency-key": "once" }, body: '{"name":"blink"}' };
  const answer = await fetch(commands, request);
  assert.equal(answer.status, 202, await answer.text());
  const location = answer.headers.get("location") ?? "";
  const status = await waitFor("the device's answer over HTTP", async () => {
    const found = (await (await fetch(`${url}${location}`)).json()) as { state: string; result: string };
    return found.state === "acknowledged" ? found : undefined;
  });
  assert.equal(status.result, "done");
  const again = await fetch(commands, request);
  assert.deepEqual([again.status, ((await again.json()) as { state: string }).state], [200, "acknowledged"]);
  assert.equal(device.seen.get("once"), 1);

  const line = ["--payload", '{"times":3}', "--guarantee", "at-most-once", "--wait", "--json"];
  const sent = await runCli(t, ["command", "send", "device-1", "blink", ...line], { config });
  assert.equal(sent.code, 0, sent.stderr);
  const told = JSON.parse(sent.stdout) as { id: string; state: string };
  assert.equal(told.state, "acknowledged");
  assert.equal(device.seen.get(told.id), 1);
  const asked = await runCli(t, ["command", "status", "device-1", told.id], { config });
  assert.match(asked.stdout, new RegExp(`^${told.id} acknowledged`));
  const other = await runCli(t, ["command", "status", "device-1", told.id, "--tenant", "other"], { config });
  assert.deepEqual([other.code, /no command/.test(other.stderr)], [1, true]);

  for (const service of [ingress, worker]) assert.deepEqual(await service.stop(), { code: 0, signal: null });
});
