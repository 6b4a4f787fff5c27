/** Shadows as people and devices use them: HTTP and command line, worker, Kafka, ingress, Mosquitto, presence. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { IPublishPacket } from "mqtt";
import { readTable } from "../../bridge/read-table.ts";
import type { ShadowDocument } from "../../processors/formats/shadow.ts";
import { openKafkaLog } from "../support/command-rig.ts";
import { TestDevice } from "../support/command-device.ts";
import { startMosquitto } from "../support/mosquitto.ts";
import { need } from "../support/need.ts";
import { ShadowDevice } from "../support/shadow-device.ts";
import { sharedKafka } from "../support/shared-kafka.ts";
import { runCli, spawnCli } from "../support/spawn-cli.ts";
import { tempDir } from "../support/temp-dir.ts";
import { uniqueName } from "../support/unique-name.ts";
import { waitFor } from "../support/wait-for.ts";
import { publisher } from "./ingress-support.ts";

const skip = await need("kafka", "mosquitto");

test(
  "a device becomes as desired, hears nothing while it is offline, and everything when it is back; so do commands",
  { skip },
  async (t) => {
    const [mosquitto, kafka] = await Promise.all([startMosquitto(t), sharedKafka()]);
    const name = uniqueName("shadow");
    const names = ["raw", "normalized", "aggregates", "alerts", "dlq", "deviceState"];
    const config = {
      applicationId: name,
      kafka: { brokers: kafka.bootstrap },
      mqtt: { url: mosquitto.url, clientId: name },
      topics: Object.fromEntries(names.map((topic) => [topic, `${name}-${topic}`])),
      shadow: { enabled: true, updatesTopic: `${name}-updates`, topic: `${name}-shadows` },
      commands: { enabled: true, topic: `${name}-commands`, statusTopic: `${name}-status`, ackTopic: `${name}-acks` },
      admission: {
        shedTopic: `${name}-shed`,
        tenants: [{ tenant: "limited", answerRate: { perSecond: 0.001, burst: 1, policy: "drop" } }],
      },
      presence: { topic: `${name}-presence`, offlineHoldMs: 0, reconnectHoldMs: 0 },
      topicDefaults: { partitions: 2 },
      state: { dir: tempDir(t, "state") },
      http: { port: 0 },
    };
    const log = openKafkaLog(t, kafka.bootstrap);
    const create = await runCli(t, ["topics", "create", "--json"], { config });
    assert.equal(create.code, 0, create.stderr + create.stdout);
    const [ingress, worker] = await Promise.all([spawnCli(t, ["ingress"], { config }), spawnCli(t, ["worker"], { config })]);
    const [, url] = await worker.waitForOutput(/"url":"(http:[^"]+)"/);
    await ingress.waitForOutput(/devices are told what is desired/);
    const path = `${url}/v1/tenants/demo/devices/d1/shadow`;
    const send = (method: string, body: object | undefined, headers: Record<string, string> = {}): Promise<Response> =>
      fetch(path, {
        method,
        headers: { ...(body === undefined ? {} : { "content-type": "application/json" }), ...headers },
        body: body && JSON.stringify(body),
      });
    const shadow = async (): Promise<ShadowDocument> => (await (await fetch(path)).json()) as ShadowDocument;
    const asDesired = (wanted: object): Promise<ShadowDocument> =>
      waitFor(`the device is ${JSON.stringify(wanted)}`, async () => {
        const now = await shadow();
        assert.deepEqual([now.desired, now.delta], [wanted, undefined]);
        return now;
      });

    await t.test("over HTTP: desired, told, done, reported", async () => {
      const device = await new ShadowDevice(t, mosquitto.url, "d1").connect();
      await waitFor("the worker takes changes", async () => (await send("PATCH", { interval: 5, led: { on: true } })).status === 200);
      const first = await asDesired({ interval: 5, led: { on: true } });
      assert.deepEqual(device.state, { interval: 5, led: { on: true } });
      const read = await fetch(path);
      const etag = read.headers.get("etag") ?? "";
      assert.equal(etag, `"${first.version}"`);
      assert.equal((await send("PATCH", { led: null, interval: 6 }, { "if-match": etag })).status, 200);
      assert.equal((await send("PATCH", { interval: 7 }, { "if-match": etag })).status, 412);
      await asDesired({ interval: 6 });
      await device.disconnect();
    });

    const device = new ShadowDevice(t, mosquitto.url, "d1", 4);
    const commanded = new TestDevice(t, mosquitto.url, { deviceId: "d1", protocolVersion: 4, clean: true, reconnectPeriod: 0 });
    await t.test("offline: neither deltas nor commands are sent; when it is back, the newest delta and the command, once", async () => {
      await device.connect();
      await device.vanish();
      await waitFor("presence says offline", async () => {
        let last = "";
        await readTable(log, config.presence.topic, (_key, value) => (last = String(value)));
        return last.includes('"status":"offline"');
      });
      for (const interval of [10, 11, 12]) assert.equal((await send("PATCH", { interval })).status, 200);
      const sent = await runCli(t, ["command", "send", "d1", "blink", "--id", "c1", "--json"], { config });
      assert.equal(sent.code, 0, sent.stderr);
      const status = async (): Promise<{ state: string; attempts: number }> =>
        (await (await fetch(`${url}/v1/tenants/demo/devices/d1/commands/c1`)).json()) as { state: string; attempts: number };
      await waitFor("taken", async () => (await status()).state === "accepted");
      await commanded.connect();
      await device.connect();
      await asDesired({ interval: 12 });
      assert.deepEqual(
        device.messages.map(({ delta }) => delta),
        [{ interval: 12 }],
      );
      await waitFor("the command is acknowledged", async () => (await status()).state === "acknowledged");
      assert.deepEqual([(await status()).attempts, commanded.seen.get("c1")], [1, 1]);
    });

    await t.test("a device that asks gets everything; what it says of others counts for nobody", async () => {
      device.messages.length = 0;
      await device.ask();
      const [answer] = await waitFor("the answer", () => (device.messages.length > 0 ? device.messages : undefined));
      const { version } = await shadow();
      assert.deepEqual(answer, {
        v: 1,
        version,
        delta: {},
        desired: { interval: 12 },
        reported: { interval: 12, led: { on: true } },
        ts: (await shadow()).ts,
      });
      assert.equal((await fetch(`${url}/v1/tenants/other/devices/d1/shadow`)).status, 404);
    });

    await t.test("a device is told that a report was refused, with its correlation data, and nothing of what it said", async () => {
      const refused = await publisher(t, mosquitto.url, { clientId: "refused", protocolVersion: 5 });
      const told: IPublishPacket[] = [];
      refused.on("message", (_topic, _payload, packet) => told.push(packet));
      await refused.subscribeAsync("t/demo/d/d9/shadow/rejected", { qos: 1 });
      const properties = { correlationData: Buffer.from([7, 0, 0xff]) };
      await refused.publishAsync("t/demo/d/d9/shadow/reported", "SECRET", { qos: 1, properties });
      const [{ payload, retain, properties: got }] = await waitFor("told", () => (told.length > 0 ? told : undefined));
      const { ts, ...content } = JSON.parse(payload.toString()) as { ts: number };
      assert.deepEqual(content, { v: 1, code: "not-json", message: "not JSON in UTF-8" });
      assert.ok(Math.abs(Date.now() - ts) < 60_000);
      assert.deepEqual([retain, got?.correlationData, got?.contentType], [false, properties.correlationData, "application/json"]);
      await refused.publishAsync("t/demo/d/d9/shadow/reported", '{"state":{"ok":1}}', { qos: 1 });
      await waitFor("what it reports next counts", async () => {
        const answer = await fetch(`${url}/v1/tenants/demo/devices/d9/shadow`);
        return ((await answer.json()) as Partial<ShadowDocument>).reported?.ok === 1;
      });
      assert.equal(told.length, 1);
    });

    await t.test("a device is told that the ingress did not let its report in", async () => {
      const limited = await publisher(t, mosquitto.url, { clientId: "limited", protocolVersion: 4 });
      const told: string[] = [];
      limited.on("message", (_topic, payload) => told.push((JSON.parse(payload.toString()) as { code: string }).code));
      await limited.subscribeAsync("t/limited/d/d1/shadow/rejected", { qos: 1 });
      for (const n of [1, 2]) await limited.publishAsync("t/limited/d/d1/shadow/reported", `{"state":{"n":${n}}}`, { qos: 1 });
      await waitFor("told", () => told.length > 0);
      assert.deepEqual(told, ["answer-rate"]);
    });

    await t.test("the command line shows it, changes it, and says when it was refused", async () => {
      const cli = (...args: string[]) => runCli(t, ["shadow", ...args], { config });
      const got = await cli("get", "d1", "--json");
      const before = JSON.parse(got.stdout) as ShadowDocument;
      assert.deepEqual(before.desired, { interval: 12 });
      const set = await cli("set", "d1", '{"interval":20}', "--if-version", String(before.version));
      assert.equal(set.code, 0, set.stderr);
      assert.match(set.stdout, /^applied\nversion/);
      await asDesired({ interval: 20 });
      const late = await cli("set", "d1", '{"interval":30}', "--if-version", String(before.version), "--json");
      assert.deepEqual([late.code, (JSON.parse(late.stdout) as { outcome: string }).outcome], [1, "conflict"]);
      assert.equal((await cli("replace", "d1", '{"mode":"eco"}')).code, 0);
      await asDesired({ mode: "eco" });
      assert.equal((await cli("delete", "d1")).code, 0);
      assert.equal((await cli("get", "d1")).code, 1);
      assert.equal((await fetch(path)).status, 404);
      assert.equal((await cli("set", "d1", "[]")).code, 1);
      device.messages.length = 0;
      await device.ask();
      const [answer] = await waitFor("the answer", () => (device.messages.length > 0 ? device.messages : undefined));
      assert.deepEqual([answer.delta, answer.desired, answer.reported], [{}, {}, {}]);
      assert.ok(answer.version > before.version + 2, "its version goes on");
      assert.equal((await cli("get", "d1")).code, 1, "asking makes none");
      assert.equal((await fetch(path)).status, 404);
    });
    for (const service of [ingress, worker]) assert.deepEqual(await service.stop(), { code: 0, signal: null });
  },
);
