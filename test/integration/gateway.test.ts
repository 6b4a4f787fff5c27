/** `sluice gateway` with a real Mosquitto upstream, over a line that is cut; its doors; its numbers. */
import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { connect as connectTls } from "node:tls";
import { connectAsync, type IClientOptions } from "mqtt";
import { Registry } from "prom-client";
import { BrokerProxy } from "../support/broker-proxy.ts";
import { Authority } from "../support/certificates.ts";
import { collect } from "../support/collector.ts";
import { GatewayDevices, faultsOf } from "../support/gateway-devices.ts";
import { startMosquitto } from "../support/mosquitto.ts";
import { need } from "../support/need.ts";
import { runCommand } from "../support/run-command.ts";
import { runCli, spawnCli } from "../support/spawn-cli.ts";
import { tempDir } from "../support/temp-dir.ts";
import { waitFor } from "../support/wait-for.ts";
import { makeIngress } from "../unit/bridge/ingress-fixture.ts";
import { openLog, readTopic } from "./ingress-support.ts";

const noMosquitto = await need("mosquitto");
const noTls = await need("mosquitto", "openssl");
const STEP = 500;
const BACK_OFF = { minBackOffMs: 20, maxBackOffMs: 100 };

test(
  "upstream MQTT, cut, refused and silent in mid-stream: everything acknowledged arrives, each device's in order",
  { skip: noMosquitto, timeout: 60_000 },
  async (t) => {
    const mosquitto = await startMosquitto(t);
    const proxy = await BrokerProxy.start(t, mosquitto.port);
    const arrived = await collect(t, mosquitto.url, ["t/#"]);
    const config = {
      mqtt: { url: `mqtt://${proxy.address}`, keepaliveS: 2 },
      gateway: {
        id: "g7",
        listen: { port: 0, anonymous: true },
        store: { dir: tempDir(t, "gateway") },
        uplink: { to: "mqtt", batchMessages: 50, ...BACK_OFF },
        http: { port: 0 },
      },
    };
    const gateway = await spawnCli(t, ["gateway"], { config });
    const [, port] = await gateway.waitForOutput(/"port":(\d+),"uplink".*gateway takes telemetry/);
    const url = `mqtt://127.0.0.1:${port}`;
    const devices = new GatewayDevices(t, url, 5);
    const more = (): Promise<unknown> => {
      const wanted = devices.acknowledged.size + STEP;
      return waitFor(`${wanted} acknowledged`, () => devices.acknowledged.size >= wanted, { deadlineMs: 20_000 });
    };
    await more();
    proxy.cut();
    await more();
    proxy.refuse();
    await gateway.waitForOutput(/the uplink is down/);
    await more();
    proxy.calm();
    await more();
    proxy.shape("down", { stalled: true });
    await more();
    await waitFor("it gives the silent line up", () => (gateway.stderr().match(/the uplink is down/g) ?? []).length >= 2, {
      deadlineMs: 20_000,
    });
    proxy.calm();
    devices.stop();
    const order = (): string[] =>
      arrived.map(({ topic, payload }) => `${topic.split("/")[3]}/${(JSON.parse(payload.toString()) as { seq: number }).seq}`);
    await waitFor("everything is upstream", () => devices.underWay === 0 && faultsOf(order(), devices.acknowledged).lost.length === 0, {
      deadlineMs: 20_000,
    });
    const { overtaken, doubled } = faultsOf(order(), devices.acknowledged);
    assert.deepEqual(overtaken, []);
    t.diagnostic(`${devices.acknowledged.size} acknowledged, ${doubled} doubled`);

    const device = await connectAsync(url, { protocolVersion: 5, reconnectPeriod: 0 });
    const properties = { contentType: "text/plain", correlationData: Buffer.from("c-1") };
    const before = Date.now();
    await device.publishAsync("t/demo/d/x/state", "offline", { qos: 1, retain: true, properties });
    await device.endAsync();
    const { packet } = await waitFor("it", () => arrived.find(({ topic }) => topic === "t/demo/d/x/state"));
    assert.equal(packet.properties?.contentType, "text/plain");
    assert.equal(String(packet.properties?.correlationData), "c-1");
    const { "gateway.id": id, "gateway.ts": ts } = packet.properties?.userProperties ?? {};
    assert.equal(id, "g7");
    assert.ok(Number(ts) >= before && Number(ts) <= Date.now());
    const retained = await collect(t, mosquitto.url, ["t/demo/d/x/state"]);
    await waitFor("it is retained upstream", () => retained.length === 1);
    assert.deepEqual(await gateway.stop(), { code: 0, signal: null });
  },
);

test(
  "what the upstream broker's rules refuse is passed over, counted and told, and holds up nobody else",
  { skip: noMosquitto, timeout: 60_000 },
  async (t) => {
    const acl = join(tempDir(t, "acl"), "acl");
    writeFileSync(acl, "topic write t/demo/#\ntopic write sluice/#\ntopic read #\n");
    const mosquitto = await startMosquitto(t, { config: [`acl_file ${acl}`] });
    const arrived = await collect(t, mosquitto.url, ["t/#", "sluice/gateways/+/gap"]);
    const config = {
      mqtt: { url: mosquitto.url },
      gateway: {
        id: "g8",
        listen: { port: 0, anonymous: true },
        store: { dir: tempDir(t, "gateway") },
        uplink: { to: "mqtt", ...BACK_OFF },
        http: { port: 0 },
      },
    };
    const gateway = await spawnCli(t, ["gateway"], { config });
    const [, port] = await gateway.waitForOutput(/"port":(\d+),"uplink"/);
    const device = await connectAsync(`mqtt://127.0.0.1:${port}`, { reconnectPeriod: 0 });
    for (const tenant of ["demo", "other", "demo"]) await device.publishAsync(`t/${tenant}/d/a/telemetry`, tenant, { qos: 1 });
    await device.endAsync();
    await waitFor("both of demo", () => arrived.length === 2);
    await gateway.stop();
    // The marker of what was refused is written at the latest when the gateway stops, and goes with the next start.
    const again = await spawnCli(t, ["gateway"], { config });
    const { payload } = await waitFor("the marker", () => arrived.find(({ topic }) => topic === "sluice/gateways/g8/gap"));
    const { reason, messages, devices } = JSON.parse(payload.toString()) as Record<string, unknown>;
    assert.deepEqual({ reason, messages, devices }, { reason: "refused", messages: 1, devices: { "other|a": 1 } });
    await again.stop();
  },
);

test(
  "TLS: a device with a certificate or a password has its own topics, nobody else gets in; health and metrics tell of the store",
  { skip: noTls, timeout: 60_000 },
  async (t) => {
    const authority = await Authority.create(t);
    const server = await authority.issue("gateway");
    const client = await authority.issue("demo/d/a");
    const passwordsFile = join(tempDir(t, "passwords"), "passwords");
    const made = await runCommand("mosquitto_passwd", ["-b", "-c", passwordsFile, "demo/d/b", "secret-b"], { timeoutMs: 10_000 });
    assert.equal(made.code, 0, made.stderr);
    const tls = { certFile: server.certFile, keyFile: server.keyFile, caFile: authority.caFile };
    const config = {
      mqtt: { url: "mqtt://127.0.0.1:1" },
      gateway: {
        listen: { port: 0, tls, clientCertificates: true, passwordsFile },
        store: { dir: tempDir(t, "gateway") },
        uplink: { to: "mqtt", ...BACK_OFF },
        http: { port: 0 },
      },
      log: { level: "debug" },
    };
    const gateway = await spawnCli(t, ["gateway"], { config });
    const [, port] = await gateway.waitForOutput(/"port":(\d+),"uplink"/);
    const [, http] = await gateway.waitForOutput(/"http":(\d+)/);
    const connectTo = (options: IClientOptions) =>
      connectAsync(
        `mqtts://localhost:${port}`,
        { ca: readFileSync(authority.caFile), protocolVersion: 5, reconnectPeriod: 0, ...options },
        false,
      );
    const certified = await connectTo({ cert: readFileSync(client.certFile), key: readFileSync(client.keyFile) });
    const named = await connectTo({ username: "demo/d/b", password: "secret-b" });
    t.after(() => Promise.all([certified.endAsync(true), named.endAsync(true)]));
    await assert.rejects(connectTo({}));
    await assert.rejects(connectTo({ username: "demo/d/b", password: "secret-a" }));
    await certified.publishAsync("t/demo/d/a/telemetry", "1", { qos: 1 });
    await named.publishAsync("t/demo/d/b/telemetry", "1", { qos: 1 });
    await assert.rejects(certified.publishAsync("t/demo/d/b/telemetry", "1", { qos: 1 }), { code: 0x87 });
    await assert.rejects(named.publishAsync("t/other/d/b/telemetry", "1", { qos: 1 }), { code: 0x87 });
    const get = async (path: string): Promise<string> => (await fetch(`http://127.0.0.1:${http}${path}`)).text();
    assert.equal(await get("/health/ready"), "ready\n");
    const metrics = await get("/metrics");
    for (const line of [
      "store_messages 2",
      "acked_total 2",
      "denied_total 2",
      "refused_connections_total 2",
      "uplink_up 0",
      "store_open 1",
    ])
      assert.ok(metrics.includes(`sluice_gateway_${line}\n`), `${line}: ${metrics}`);
    assert.match(metrics, /^sluice_certificate_expiry_seconds\{kind="gateway-server"\} \d+$/m);

    // A certificate that is replaced is used for the next connection, and those there are go on.
    const renewed = await authority.issue("gateway");
    for (const file of ["keyFile", "certFile"] as const) copyFileSync(renewed[file], tls[file]);
    const serial = new X509Certificate(readFileSync(renewed.certFile)).serialNumber;
    await waitFor("the new certificate", async () => (await serialSeen(Number(port))) === serial, { intervalMs: 100 });
    await certified.publishAsync("t/demo/d/a/telemetry", "2", { qos: 1 });
    await gateway.stop();
    assert.doesNotMatch(gateway.stderr(), /secret-/);
  },
);

/** The serial number of the certificate that a port shows. */
function serialSeen(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connectTls({ port, host: "127.0.0.1", rejectUnauthorized: false });
    socket.once("error", reject);
    socket.once("secureConnect", () => {
      resolve(socket.getPeerCertificate().serialNumber);
      socket.destroy();
    });
  });
}

test(
  "an ingress that trusts gateways gives messages kept over an outage their receive time, not what an old gateway or a clock ahead says",
  { skip: noMosquitto, timeout: 60_000 },
  async (t) => {
    const mosquitto = await startMosquitto(t);
    const proxy = await BrokerProxy.start(t, mosquitto.port);
    proxy.refuse();
    const log = await openLog(t);
    const registry = new Registry();
    const ingress = makeIngress(t, log, { url: mosquitto.url, trustGatewayTime: { maxAgeMs: 60_000 } }, registry);
    await ingress.start();
    const config = {
      mqtt: { url: `mqtt://${proxy.address}` },
      gateway: {
        id: "g9",
        listen: { port: 0, anonymous: true },
        store: { dir: tempDir(t, "gateway") },
        uplink: { to: "mqtt", ...BACK_OFF },
      },
    };
    const gateway = await spawnCli(t, ["gateway"], { config });
    const [, port] = await gateway.waitForOutput(/"port":(\d+),"uplink"/);
    const device = await connectAsync(`mqtt://127.0.0.1:${port}`, { reconnectPeriod: 0 });
    const before = Date.now();
    await device.publishAsync("t/demo/d/a/telemetry", "kept", { qos: 1 });
    await device.endAsync();
    const after = Date.now();
    await waitFor("time goes by", () => Date.now() > after + 200);
    proxy.calm();
    await waitFor("it is written", () => ingress.stats().written === 1, { deadlineMs: 10_000 });

    const direct = await connectAsync(mosquitto.url, { protocolVersion: 5, reconnectPeriod: 0 });
    for (const ts of [Date.now() - 3_600_000, Date.now() + 3_600_000])
      await direct.publishAsync("t/demo/d/b/telemetry", "forged", { qos: 1, properties: { userProperties: { "gateway.ts": String(ts) } } });
    await direct.endAsync();
    await waitFor("both are written", () => ingress.stats().written === 3);
    const records = await readTopic(log, "raw");
    const tsOf = (value: string) => records.filter((record) => record.value === value).map(({ headers }) => Number(headers["ingress.ts"]));
    const [kept] = tsOf("kept");
    assert.ok(kept >= before && kept <= after, `${before} ${kept} ${after}`);
    for (const ts of tsOf("forged")) assert.ok(ts >= after + 200 && ts <= Date.now());
    const metrics = await registry.metrics();
    for (const line of ['{outcome="used"} 1', '{outcome="ahead"} 1', '{outcome="too-old"} 1', '{outcome="unreadable"} 0'])
      assert.ok(metrics.includes(`sluice_ingress_gateway_time_total${line}\n`), line);
    await gateway.stop();
  },
);

test("a gateway that would let nobody in does not start, and says what to set", async (t) => {
  const { code, stderr } = await runCli(t, ["gateway"], { config: { gateway: { store: { dir: tempDir(t, "gateway") } } } });
  assert.equal(code, 1);
  assert.match(stderr, /passwordsFile, clientCertificates, or anonymous/);
});
