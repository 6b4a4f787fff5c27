/** The generated access rules at a real Mosquitto: a door a case, tried by another tenant's device and by a neighbour. */
import assert from "node:assert/strict";
import { DEVICE_PUBLISHES, DEVICE_READS } from "../../bridge/device-access.ts";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import type { IClientOptions, MqttClient } from "mqtt";
import { startMosquitto } from "../support/mosquitto.ts";
import { need } from "../support/need.ts";
import { runCli } from "../support/spawn-cli.ts";
import { tempDir } from "../support/temp-dir.ts";
import { waitFor } from "../support/wait-for.ts";
import { publisher } from "./ingress-support.ts";

const skip = await need("mosquitto");
const PLUGIN = "/usr/lib/x86_64-linux-gnu/mosquitto_dynamic_security.so";
const PASSWORD = "test-password";
const SERVICE = "sluice-ingress";

const BROKERS = {
  "mosquitto-acl": async (t: TestContext): Promise<string> => {
    const file = join(tempDir(t, "acl"), "acl");
    const { stdout, code, stderr } = await runCli(t, ["mqtt-acl"], { config: {} });
    assert.equal(code, 0, stderr);
    writeFileSync(file, stdout);
    return (await startMosquitto(t, { config: [`acl_file ${file}`] })).url;
  },
  "dynamic-security": async (t: TestContext): Promise<string> => {
    const dir = tempDir(t, "dynsec");
    const devices = ["acme|a", "acme|b", "evil|x"].map((key) => `${key} ${PASSWORD}\n`);
    writeFileSync(join(dir, "devices"), `# all of them\n${devices.join("")}`);
    const args = ["mqtt-acl", "--format", "dynamic-security", "--devices", join(dir, "devices")];
    const { stdout, code, stderr } = await runCli(t, args, { config: {}, env: { SLUICE_MQTT_PASSWORD: PASSWORD } });
    assert.equal(code, 0, stderr);
    writeFileSync(join(dir, "dynsec.json"), stdout);
    const config = [`plugin ${PLUGIN}`, `plugin_opt_config_file ${join(dir, "dynsec.json")}`];
    return (await startMosquitto(t, { config })).url;
  },
};

for (const format of ["mosquitto-acl", "dynamic-security"] as const) {
  const unavailable = skip || (format === "dynamic-security" && !existsSync(PLUGIN) && "no dynamic-security plugin");
  test(`${format}: a device uses its own topics, and no door leads to another's`, { skip: unavailable }, async (t) => {
    const url = await BROKERS[format](t);
    const login = (username: string, options: IClientOptions = {}): Promise<MqttClient> =>
      publisher(t, url, { username, password: PASSWORD, protocolVersion: 5, reconnectPeriod: 0, ...options });
    const die = async (username: string, topic: string, payload: string): Promise<unknown> => {
      const client = await login(username, { will: { topic, payload: Buffer.from(payload), qos: 1, retain: true } }).catch(() => undefined);
      return client?.stream.destroy();
    };
    const service = await login(SERVICE);
    const seen: string[] = [];
    service.on("message", (topic, payload) => seen.push(`${topic} ${payload.toString()}`));
    await service.subscribeAsync(
      DEVICE_PUBLISHES.map((door) => `t/+/d/+/${door}`),
      { qos: 1 },
    );
    const victim = await login("acme/d/a");
    const commands: string[] = [];
    victim.on("message", (topic, payload) => commands.push(`${topic} ${payload.toString()}`));
    await victim.subscribeAsync(
      DEVICE_READS.map((door) => `t/acme/d/a/${door}`),
      { qos: 1 },
    );
    const attempt = (client: MqttClient, topic: string, payload: string): Promise<unknown> =>
      client.publishAsync(topic, payload, { qos: 1 }).catch((error: unknown) => error);

    for (const name of ["evil/d/x", "acme/d/b"]) {
      const attacker = await login(name);
      const overheard: string[] = [];
      attacker.on("message", (topic) => overheard.push(topic));
      const filters = [
        "#",
        "+/+/+/+/+",
        "+/+/+/+/+/+",
        "t/acme/d/a/shadow/delta",
        "t/acme/d/a/shadow/rejected",
        "t/#",
        "t/acme/#",
        "t/+/d/+/cmd",
        "t/acme/d/a/cmd",
        "t/acme/d/a/telemetry",
        "$share/g/t/acme/d/a/cmd",
        "$SYS/#",
      ];
      for (const filter of filters) await attacker.subscribeAsync(filter, { qos: 1 }).catch(() => undefined);
      for (const door of [...DEVICE_PUBLISHES, ...DEVICE_READS, "cmd/status", "telemetry/x"])
        await attempt(attacker, `t/acme/d/a/${door}`, `by ${name}`);
      await attacker.publishAsync("t/acme/d/a/state", `by ${name}`, { qos: 1, retain: true }).catch(() => undefined);
      for (const door of [...DEVICE_PUBLISHES, ...DEVICE_READS]) await die(name, `t/acme/d/a/${door}`, `by ${name}`);
      await die(name, `t/${name}/state`, `will of ${name}`);
      for (const topic of [`t/${name}/cmd`, "t/acme/telemetry", "t/acme/d/telemetry", "iot.device.registry"])
        await attempt(attacker, topic, `by ${name}`);
      await attempt(victim, "t/acme/d/a/telemetry", "own");
      for (const door of [...DEVICE_READS].reverse()) await attempt(service, `t/acme/d/a/${door}`, "do");
      await attempt(attacker, `t/${name}/telemetry`, `own of ${name}`);
      await waitFor(
        "the rightful ones arrive",
        () =>
          seen.includes(`t/${name}/telemetry own of ${name}`) &&
          seen.includes(`t/${name}/state will of ${name}`) &&
          commands.at(-1) === "t/acme/d/a/cmd do",
      );
      assert.deepEqual(
        seen.filter((text) => text.endsWith(`by ${name}`)),
        [],
      );
      assert.deepEqual(overheard, []);
    }
    const later = await login(SERVICE, { clientId: "later" });
    const retained: string[] = [];
    later.on("message", (topic, payload) => retained.push(`${topic} ${payload.toString()}`));
    await later.subscribeAsync("t/+/d/+/state", { qos: 1 });
    await waitFor("the retained wills of the devices' own", () => retained.length === 2);
    assert.deepEqual(retained.sort(), ["t/acme/d/b/state will of acme/d/b", "t/evil/d/x/state will of evil/d/x"]);
    const told = DEVICE_READS.map((door) => `t/acme/d/a/${door} do`);
    assert.deepEqual(new Set(commands), new Set(told), "the victim was told everything, and by Sluice alone");
    await attempt(victim, "t/acme/d/a/state", "online");
    await attempt(victim, "t/acme/d/a/cmd/ack", "done");
    await waitFor("state and acknowledgement", () => seen.includes("t/acme/d/a/state online") && seen.includes("t/acme/d/a/cmd/ack done"));
  });
}

test("mosquitto-acl: a name made of wildcards opens nothing", { skip }, async (t) => {
  const url = await BROKERS["mosquitto-acl"](t);
  const service = await publisher(t, url, { username: SERVICE, protocolVersion: 5 });
  const seen: string[] = [];
  service.on("message", (_topic, payload) => seen.push(payload.toString()));
  await service.subscribeAsync("t/+/d/+/telemetry", { qos: 1 });
  for (const username of ["+/d/+", "acme/d/+", "#", "acme/#", "acme/d/a/telemetry/#"]) {
    const client = await publisher(t, url, { username, protocolVersion: 5, reconnectPeriod: 0 }).catch(() => undefined);
    if (client === undefined) continue;
    const overheard: string[] = [];
    client.on("message", (topic) => overheard.push(topic));
    await client.subscribeAsync(["t/+/d/+/cmd", "t/#", `t/${username}/cmd`], { qos: 1 }).catch(() => undefined);
    await client.publishAsync("t/acme/d/a/telemetry", `by ${username}`, { qos: 1 }).catch(() => undefined);
    await service.publishAsync("t/acme/d/a/cmd", "do", { qos: 1 });
    await client.publishAsync("t/acme/d/a/state", "after", { qos: 1 }).catch(() => undefined);
    assert.deepEqual(overheard, [], username);
  }
  const device = await publisher(t, url, { username: "acme/d/a", protocolVersion: 5 });
  await device.publishAsync("t/acme/d/a/telemetry", "own", { qos: 1 });
  await waitFor("its own", () => seen.length > 0);
  assert.deepEqual(seen, ["own"]);
});
