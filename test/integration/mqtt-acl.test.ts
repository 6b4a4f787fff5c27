/** The generated access rules at a real Mosquitto: a door a case, tried by another tenant's device and by a neighbour. */
import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { Authority } from "../support/certificates.ts";
import { startMosquitto } from "../support/mosquitto.ts";
import { need } from "../support/need.ts";
import { runCommand } from "../support/run-command.ts";
import { runCli, spawnCli } from "../support/spawn-cli.ts";
import { tempDir } from "../support/temp-dir.ts";
import { waitFor } from "../support/wait-for.ts";
import { publisher } from "./ingress-support.ts";
import { assertDoors, DEVICES, SERVICE, type Login } from "./mqtt-doors.ts";
import { assertGatewayDoors, GATEWAYS } from "./mqtt-gateway-doors.ts";
import { MutualTls } from "./mutual-tls.ts";

const skip = await need("mosquitto", "openssl");
const PLUGIN = "/usr/lib/x86_64-linux-gnu/mosquitto_dynamic_security.so";
const PASSWORD = "test-password";

/** Lines of mosquitto.conf that make it go by our rules. */
const RULES = {
  "mosquitto-acl": async (t: TestContext): Promise<string[]> => {
    const file = join(tempDir(t, "acl"), "acl");
    const { stdout, code, stderr } = await runCli(t, ["mqtt-acl"], { config: { mqtt: { gateways: GATEWAYS } } });
    assert.equal(code, 0, stderr);
    writeFileSync(file, stdout);
    return [`acl_file ${file}`];
  },
  /** Without a password nobody gets in by name: certificates only. */
  "dynamic-security": async (t: TestContext, password?: string): Promise<string[]> => {
    const dir = tempDir(t, "dynsec");
    const devices = DEVICES.map((name) => `${name.replace("/d/", "|")}${password === undefined ? "" : ` ${password}`}\n`);
    writeFileSync(join(dir, "devices"), `# all of them\n${devices.join("")}`);
    const args = ["mqtt-acl", "--format", "dynamic-security", "--devices", join(dir, "devices")];
    const env: Record<string, string> = password === undefined ? {} : { SLUICE_MQTT_PASSWORD: password };
    const passwordFile = password === undefined ? undefined : join(dir, "gateway-password");
    if (password !== undefined && passwordFile !== undefined) writeFileSync(passwordFile, `${password}\n`);
    const gateways = GATEWAYS.map((gateway) => ({ ...gateway, passwordFile }));
    const { stdout, code, stderr } = await runCli(t, args, { config: { mqtt: { gateways } }, env });
    assert.equal(code, 0, stderr);
    writeFileSync(join(dir, "dynsec.json"), stdout);
    return [`plugin ${PLUGIN}`, `plugin_opt_config_file ${join(dir, "dynsec.json")}`];
  },
};

for (const format of ["mosquitto-acl", "dynamic-security"] as const) {
  const unavailable = skip || (format === "dynamic-security" && !existsSync(PLUGIN) && "no dynamic-security plugin");
  test(`${format}: a device uses its own topics, and no door leads to another's`, { skip: unavailable }, async (t) => {
    const { url } = await startMosquitto(t, { config: await RULES[format](t, PASSWORD) });
    await assertDoors((username, options = {}) =>
      publisher(t, url, { username, password: PASSWORD, protocolVersion: 5, reconnectPeriod: 0, ...options }),
    );
  });

  test(`${format}: a gateway uses its own devices' topics, and no door leads to another's`, { skip: unavailable }, async (t) => {
    const { url } = await startMosquitto(t, { config: await RULES[format](t, PASSWORD) });
    await assertGatewayDoors((username, options = {}) =>
      publisher(t, url, { username, password: PASSWORD, protocolVersion: 5, reconnectPeriod: 0, ...options }),
    );
  });

  test(
    `${format}: sluice gateway works with these rights, for its own device: telemetry, a command, its answer; another's is refused by the broker`,
    { skip: unavailable },
    async (t) => {
      const mosquitto = await startMosquitto(t, { config: await RULES[format](t, PASSWORD) });
      const mqtt = { url: mosquitto.url, username: "gw-a", passwordFile: join(tempDir(t, "gateway"), "password") };
      writeFileSync(mqtt.passwordFile, PASSWORD);
      const store = { dir: tempDir(t, "store") };
      const uplink = { to: "mqtt" };
      const listen = { port: 0, passwordsFile: join(tempDir(t, "devices"), "passwords") };
      for (const [index, name] of ["acme/d/a", "acme/d/b"].entries()) {
        const args = ["-b", ...(index === 0 ? ["-c"] : []), listen.passwordsFile, name, PASSWORD];
        assert.equal((await runCommand("mosquitto_passwd", args, { timeoutMs: 10_000 })).code, 0);
      }
      const config = { mqtt, gateway: { id: "plant-a", listen, store, uplink, downlink: {}, http: { port: 0 } } };
      const process = await spawnCli(t, ["gateway"], { config });
      const [, port] = await process.waitForOutput(/"port":(\d+),"uplink"/);
      const [, http] = await process.waitForOutput(/"http":(\d+)/);
      const metrics = async (): Promise<string> => (await fetch(`http://127.0.0.1:${http}/metrics`)).text();
      const service = await publisher(t, mosquitto.url, { username: SERVICE, password: PASSWORD, protocolVersion: 5 });
      const seen: string[] = [];
      service.on("message", (topic, payload) => seen.push(`${topic} ${payload.toString()}`));
      await service.subscribeAsync(["t/+/d/+/telemetry", "t/+/d/+/cmd/ack"], { qos: 1 });
      const device = async (username: string) => {
        const client = await publisher(t, `mqtt://127.0.0.1:${port}`, { username, password: PASSWORD, protocolVersion: 5 });
        client.on("message", () => client.publish(`t/${username}/cmd/ack`, "done", { qos: 1 }));
        await client.subscribeAsync(`t/${username}/cmd`, { qos: 1 });
        return client;
      };
      const [own, other] = [await device("acme/d/a"), await device("acme/d/b")];
      await other.publishAsync("t/acme/d/b/telemetry", "foreign", { qos: 1 });
      await own.publishAsync("t/acme/d/a/telemetry", "own", { qos: 1 });
      await waitFor("the gateway reads below", async () => (await metrics()).includes("sluice_gateway_down_connected 1\n"));
      await waitFor("command and answer", async () => {
        await service.publishAsync("t/acme/d/a/cmd", "do", { qos: 1 });
        return seen.includes("t/acme/d/a/cmd/ack done");
      });
      await service.publishAsync("t/acme/d/b/cmd", "do", { qos: 1 });
      await waitFor("what was refused is counted", async () =>
        (await metrics()).includes('sluice_gateway_dropped_total{reason="refused"} 1\n'),
      );
      assert.ok(seen.includes("t/acme/d/a/telemetry own"));
      assert.deepEqual(
        seen.filter((text) => text.startsWith("t/acme/d/b/")),
        [],
      );
    },
  );

  test(
    `${format}: a device is the CN of its certificate, whatever user name it gives, and no door leads to another's`,
    { skip: unavailable },
    async (t) => {
      const tls = await MutualTls.create(t);
      const mosquitto = await startMosquitto(t, { config: [...(await RULES[format](t)), ...tls.config] });
      const login: Login = (name, options = {}) => tls.login(t, name, { username: "acme/d/a", password: PASSWORD, ...options });
      await assertDoors(login);
      await assertGatewayDoors(login);
      const stranger = await Authority.create(t);
      for (const [who, options] of [
        ["without a certificate", {}],
        ["with one of another authority", await tls.filesOf("acme/d/a", stranger)],
      ] as const)
        await assert.rejects(tls.connect(t, { username: "acme/d/a", ...options }), who);
      if (format === "dynamic-security")
        await assert.rejects(
          publisher(t, mosquitto.url, { username: SERVICE, reconnectPeriod: 0 }),
          "by name, where no certificates are asked for",
        );
    },
  );
}

test("mosquitto-acl: a name made of wildcards opens nothing, as a user name or as a CN", { skip }, async (t) => {
  const tls = await MutualTls.create(t);
  const { url } = await startMosquitto(t, { config: [...(await RULES["mosquitto-acl"](t)), ...tls.config] });
  const service = await publisher(t, url, { username: SERVICE, protocolVersion: 5 });
  const seen: string[] = [];
  service.on("message", (_topic, payload) => seen.push(payload.toString()));
  await service.subscribeAsync("t/+/d/+/telemetry", { qos: 1 });
  const logins: readonly Login[] = [
    (username) => publisher(t, url, { username, protocolVersion: 5, reconnectPeriod: 0 }),
    (name) => tls.login(t, name),
  ];
  for (const login of logins) {
    for (const name of ["+/d/+", "acme/d/+", "#", "acme/#", "acme/d/a/telemetry/#"]) {
      const client = await login(name).catch(() => undefined);
      if (client === undefined) continue;
      const overheard: string[] = [];
      client.on("message", (topic) => overheard.push(topic));
      await client.subscribeAsync(["t/+/d/+/cmd", "t/#", `t/${name}/cmd`], { qos: 1 }).catch(() => undefined);
      await client.publishAsync("t/acme/d/a/telemetry", `by ${name}`, { qos: 1 }).catch(() => undefined);
      await service.publishAsync("t/acme/d/a/cmd", "do", { qos: 1 });
      await client.publishAsync("t/acme/d/a/state", "after", { qos: 1 }).catch(() => undefined);
      assert.deepEqual(overheard, [], name);
    }
  }
  const device = await publisher(t, url, { username: "acme/d/a", protocolVersion: 5 });
  await device.publishAsync("t/acme/d/a/telemetry", "own", { qos: 1 });
  await waitFor("its own", () => seen.length > 0);
  assert.deepEqual(seen, ["own"]);
});
