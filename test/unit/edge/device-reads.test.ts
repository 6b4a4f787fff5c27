/** Devices that read at the gateway's port: whose topics, which connection, what is kept of a session. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { connectAsync, type IClientOptions, type MqttClient } from "mqtt";
import type { Delivery, DownMessage } from "../../../bridge/edge/down-message.ts";
import { DevicePort, type DoorKeepers } from "../../../bridge/edge/device-port.ts";
import { Readers } from "../../../bridge/edge/readers.ts";
import type { Store } from "../../../bridge/edge/store.ts";
import { waitFor } from "../../support/wait-for.ts";
import { FakeStore } from "./fake-store.ts";

const CMD = "t/demo/d/a/cmd";
const PASSWORDS: DoorKeepers = { clientCertificates: false, anonymous: true, passwords: { check: () => true } };
const SETTINGS = { windowMessages: 10, deviceWindow: 10, deviceQueue: 10, ackTimeoutMs: 10_000 };

async function startPort(t: TestContext) {
  const upstream = new Set<string>();
  const readers = new Readers({ add: (topic) => void upstream.add(topic), remove: (topic) => void upstream.delete(topic) });
  const settings = { host: "127.0.0.1", port: 0, maxConnections: 100, maxPacketBytes: 10_000, window: 10 };
  const devices = new DevicePort(settings, PASSWORDS, new FakeStore() as unknown as Store, undefined, { settings: SETTINGS, readers });
  const port = await devices.listen();
  t.after(() => devices.close());
  const client = async (options: IClientOptions = {}) => {
    const made = await connectAsync(`mqtt://127.0.0.1:${port}`, { reconnectPeriod: 0, timerVariant: "native", ...options }, false);
    made.on("error", () => undefined);
    t.after(() => made.endAsync(true));
    const got: string[] = [];
    made.on("message", (topic, payload) => got.push(`${topic} ${payload.toString()}`));
    return Object.assign(made, { got });
  };
  const deliver = (text: string, qos: 0 | 1 | 2 = 1, topic = CMD): { delivery: Delivery | undefined; isRead: boolean } => {
    const message: DownMessage = {
      topic,
      payload: Buffer.from(text),
      qos,
      properties: {},
      messageExpiryS: undefined,
      cameAtMs: performance.now(),
    };
    const told: { delivery: Delivery | undefined; isRead: boolean } = { delivery: undefined, isRead: false };
    told.isRead = readers.deliver(message, (delivery) => (told.delivery = delivery));
    return told;
  };
  return { devices, upstream, client, deliver };
}

for (const protocolVersion of [4, 5] as const) {
  test(`MQTT ${protocolVersion}: a device may read its own command and shadow topics, and no filter leads to another tenant's or device's`, async (t) => {
    const { devices, upstream, client, deliver } = await startPort(t);
    const device = await client({ protocolVersion, username: "demo/d/a", password: "p" });
    const others = ["t/other/d/a/cmd", "t/demo/d/b/cmd", "t/+/d/a/cmd", "t/demo/d/+/cmd", "t/#", "#", "+/+/+/+/+"];
    const wrong = ["t/demo/d/a/telemetry", "t/demo/d/a/cmd/ack", "t/demo/d/a/#", `$share/g/${CMD}`, "$SYS/#", `${CMD}/`, `/${CMD}`];
    for (const filter of [...others, ...wrong]) await assert.rejects(device.subscribeAsync(filter), filter);
    for (const options of [{}, { username: "demo/d/+", password: "p" }, { username: "#", password: "p" }] satisfies IClientOptions[]) {
      const stranger = await client({ protocolVersion, ...options });
      for (const filter of [CMD, "t/demo/d/+/cmd", "#"]) await assert.rejects(stranger.subscribeAsync(filter), filter);
    }
    assert.deepEqual([...upstream], []);
    assert.equal(devices.counters.deniedSubscriptions, others.length + wrong.length + 9);
    await device.subscribeAsync([CMD, "t/demo/d/a/shadow/delta"], { qos: 1 });
    assert.deepEqual([...upstream].sort(), [CMD, "t/demo/d/a/shadow/delta"]);
    const told = ([0, 1, 2] as const).map((qos) => deliver(`q${qos}`, qos));
    await waitFor("all are acknowledged", () => told.every(({ delivery }) => delivery === "delivered"));
    assert.deepEqual(
      device.got,
      ["q0", "q1", "q2"].map((text) => `${CMD} ${text}`),
    );
    await device.unsubscribeAsync(CMD);
    assert.deepEqual([...upstream], ["t/demo/d/a/shadow/delta"]);
    assert.equal(deliver("late").isRead, false);
  });
}

test("a session keeps its subscriptions while its device is away, and nothing is read upstream for it meanwhile", async (t) => {
  const { upstream, client, deliver } = await startPort(t);
  const options = { clientId: "a", clean: false, username: "demo/d/a", password: "p" };
  const first = await client(options);
  await first.subscribeAsync(CMD, { qos: 1 });
  await first.endAsync();
  await waitFor("it is away", () => upstream.size === 0);
  const second = await client(options);
  assert.deepEqual([...upstream], [CMD]);
  const told = deliver("for the second");
  await waitFor("it", () => told.delivery === "delivered");
  assert.deepEqual(second.got, [`${CMD} for the second`]);
  await second.endAsync();
  for (const clean of [true, false]) {
    const other = await client({ ...options, clean });
    assert.equal(upstream.size, 0, "a clean session is forgotten, then and later");
    await other.endAsync();
  }
});

test("of two connections of one device the newer reads, and the end of the older takes nothing away", async (t) => {
  const { upstream, client, deliver } = await startPort(t);
  const connect = async (): Promise<MqttClient & { got: string[] }> => {
    const made = await client({ username: "demo/d/a", password: "p" });
    await made.subscribeAsync(CMD, { qos: 1 });
    return made;
  };
  const [older, newer] = [await connect(), await connect()];
  await older.endAsync();
  const told = deliver("x");
  await waitFor("it", () => told.delivery === "delivered");
  assert.deepEqual([older.got, newer.got, [...upstream]], [[], [`${CMD} x`], [CMD]]);
});

test("a message that a device did not acknowledge before its connection ended is told as not delivered, and is not sent again", async (t) => {
  const { client, deliver } = await startPort(t);
  const properties = { sessionExpiryInterval: 60 };
  const options: IClientOptions = { clientId: "a", clean: false, username: "demo/d/a", password: "p", protocolVersion: 5, properties };
  const deaf = await client({ ...options, customHandleAcks: () => undefined });
  const came = new Promise((resolve) => deaf.on("packetreceive", ({ cmd }) => (cmd === "publish" ? resolve(cmd) : undefined)));
  await deaf.subscribeAsync(CMD, { qos: 1 });
  const told = deliver("x");
  await came;
  deaf.stream.destroy();
  await waitFor("it is told", () => told.delivery === "away");
  const back = await client(options);
  const next = deliver("y");
  await waitFor("the next", () => next.delivery === "delivered");
  assert.deepEqual(back.got, [`${CMD} y`]);
});
