import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectSocket } from "node:net";
import { test, type TestContext } from "node:test";
import fc from "fast-check";
import { connectAsync, type IClientOptions, type MqttClient } from "mqtt";
import mqttPacket, { type Packet } from "mqtt-packet";
import { DevicePort, type DoorKeepers } from "../../../bridge/edge/device-port.ts";
import type { DevicePortSettings } from "../../../bridge/edge/settings.ts";
import type { Store } from "../../../bridge/edge/store.ts";
import { waitFor } from "../../support/wait-for.ts";
import { FakeStore } from "./fake-store.ts";

const TOPIC = "t/demo/d/a/telemetry";
const ANYBODY: DoorKeepers = { clientCertificates: false, anonymous: true };

async function startPort(t: TestContext, keepers = ANYBODY, settings: Partial<DevicePortSettings> = {}) {
  const store = new FakeStore();
  const all = { host: "127.0.0.1", port: 0, maxConnections: 100, maxPacketBytes: 10_000, window: 10, ...settings };
  const devices = new DevicePort(all, keepers, store as unknown as Store);
  const port = await devices.listen();
  t.after(() => devices.close());
  const client = async (options: IClientOptions = {}): Promise<MqttClient> => {
    const made = await connectAsync(`mqtt://127.0.0.1:${port}`, { reconnectPeriod: 0, timerVariant: "native", ...options }, false);
    made.on("error", () => undefined);
    t.after(() => made.endAsync(true));
    return made;
  };
  return { store, devices, port, client };
}

/** A client of bytes, for what a library would not send. */
async function rawClient(t: TestContext, port: number, connect: Partial<Packet> = {}, protocolVersion: 4 | 5 = 4) {
  const socket = connectSocket(port, "127.0.0.1");
  await once(socket, "connect");
  t.after(() => socket.destroy());
  const received: Packet[] = [];
  const parser = mqttPacket.parser({ protocolVersion });
  parser.on("packet", (packet) => received.push(packet));
  socket.on("data", (chunk: Buffer) => parser.parse(chunk));
  socket.on("error", () => undefined);
  const send = (...packets: Packet[]): boolean =>
    socket.write(Buffer.concat(packets.map((packet) => mqttPacket.generate(packet, { protocolVersion }))));
  send({ cmd: "connect", clientId: "raw", clean: true, keepalive: 0, protocolId: "MQTT", protocolVersion, ...connect } as Packet);
  return { socket, received, send };
}

function publishPacket(messageId: number, qos: 0 | 1 | 2 = 1): Packet {
  return { cmd: "publish", topic: TOPIC, payload: Buffer.from(String(messageId)), qos, dup: false, retain: false, messageId };
}

for (const protocolVersion of [4, 5] as const) {
  test(`MQTT ${protocolVersion}: acknowledgements wait for the store and go in the order of the messages`, async (t) => {
    const { store, port } = await startPort(t);
    const { received, send } = await rawClient(t, port, {}, protocolVersion);
    send(publishPacket(1), publishPacket(2, 2), publishPacket(3));
    await waitFor("all are offered", () => store.offered.length === 3);
    store.offered[2].done("stored");
    store.offered[1].done("stored");
    await waitFor("the CONNACK", () => received.length === 1);
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(
      received.map(({ cmd }) => cmd),
      ["connack"],
    );
    store.offered[0].done("stored");
    await waitFor("three acknowledgements", () => received.length === 4);
    assert.deepEqual(
      received.slice(1).map(({ cmd, messageId }) => `${cmd} ${String(messageId)}`),
      ["puback 1", "pubrec 2", "puback 3"],
    );
  });
}

test("QoS 2: a message sent again before its PUBREL, even on the next connection, is not stored again", async (t) => {
  const { store, port } = await startPort(t);
  store.answer = "stored";
  const first = await rawClient(t, port, { clean: false });
  first.send(publishPacket(7, 2));
  await waitFor("PUBREC", () => first.received.some(({ cmd }) => cmd === "pubrec"));
  first.socket.destroy();
  const second = await rawClient(t, port, { clean: false });
  second.send({ ...publishPacket(7, 2), dup: true } as Packet, { cmd: "pubrel", messageId: 7 }, publishPacket(7, 2));
  await waitFor("the answers", () => second.received.length === 4);
  assert.deepEqual(
    second.received.map(({ cmd }) => cmd),
    ["connack", "pubcomp", "pubrec", "pubrec"].sort(),
  );
  assert.equal(store.offered.length, 2, "once before the PUBREL, once after it");
});

test("refused, MQTT 5: the device is told that the quota is exceeded, and the connection goes on", async (t) => {
  const { store, client } = await startPort(t);
  store.answer = "refused";
  const device = await client({ protocolVersion: 5 });
  await assert.rejects(device.publishAsync(TOPIC, "1", { qos: 1 }), { code: 0x97 });
  await assert.rejects(device.publishAsync(TOPIC, "2", { qos: 2 }), { code: 0x97 });
  store.answer = "stored";
  await device.publishAsync(TOPIC, "3", { qos: 2 });
});

test("refused, MQTT 3.1.1: there is no acknowledgement, nothing behind it is read, and the connection ends after a pause", async (t) => {
  const { store, port } = await startPort(t);
  const { socket, received, send } = await rawClient(t, port);
  send(publishPacket(1), publishPacket(2));
  await waitFor("both are offered", () => store.offered.length === 2);
  store.offered[0].done("refused");
  store.offered[1].done("stored");
  send(publishPacket(3));
  await waitFor("the end of the connection", () => socket.closed, { deadlineMs: 15_000 });
  assert.deepEqual(
    received.map(({ cmd }) => cmd),
    ["connack"],
  );
  assert.equal(store.offered.length, 2);
});

test("dropped messages are acknowledged, and QoS 0 that is refused is counted", async (t) => {
  const { store, devices, client } = await startPort(t);
  const device = await client();
  store.answer = "dropped";
  await device.publishAsync(TOPIC, "1", { qos: 1 });
  store.answer = "refused";
  await device.publishAsync(TOPIC, "2", { qos: 0 });
  await waitFor("the count", () => devices.counters.shed === 1);
});

test("a full window and a store without room stop the reading, not the connection", async (t) => {
  const { store, port } = await startPort(t, ANYBODY, { window: 2 });
  const { received, send } = await rawClient(t, port);
  await waitFor("the CONNACK", () => received.length === 1);
  send(publishPacket(1), publishPacket(2));
  await waitFor("the window is full", () => store.offered.length === 2);
  send(publishPacket(3));
  store.hasRoom = false;
  store.offered[0].done("stored");
  store.offered[1].done("stored");
  await waitFor("both are acknowledged", () => received.length === 3);
  assert.equal(store.offered.length, 2);
  store.makeRoom();
  await waitFor("the third", () => store.offered.length === 3);
});

test("a device is bound to its own topics; on another tenant's nothing is stored", async (t) => {
  const keepers: DoorKeepers = {
    clientCertificates: false,
    anonymous: false,
    passwords: { check: (_name, password) => Buffer.from(password).toString() === "right" },
  };
  const { store, devices, client, port } = await startPort(t, keepers);
  store.answer = "stored";
  for (const options of [{}, { username: "demo/d/a", password: "wrong" }] satisfies IClientOptions[]) {
    await assert.rejects(client(options), { code: 5 });
    await assert.rejects(client({ ...options, protocolVersion: 5 }), { code: 0x86 });
  }
  assert.equal(devices.counters.refusedConnections, 4);
  const named = { username: "demo/d/a", password: "right" };
  const device = await client({ ...named, protocolVersion: 5 });
  await device.publishAsync(TOPIC, "mine", { qos: 1 });
  for (const topic of ["t/demo/d/b/telemetry", "t/other/d/a/telemetry", "t/demo/d/a/cmd", "x"])
    await assert.rejects(device.publishAsync(topic, "not mine", { qos: 1 }), { code: 0x87 });
  await device.publishAsync("t/demo/d/b/telemetry", "not mine", { qos: 0 });
  const old = await rawClient(t, port, { username: named.username, password: Buffer.from(named.password) });
  old.send({ ...publishPacket(1), topic: "t/demo/d/b/telemetry" } as Packet);
  await waitFor("all are counted", () => devices.counters.denied === 6);
  assert.deepEqual(store.texts, [`${TOPIC} mine`]);
});

test("a subscription is answered with a failure, and the device goes on publishing", async (t) => {
  const { store, client } = await startPort(t);
  store.answer = "stored";
  for (const protocolVersion of [4, 5] as const) {
    const device = await client({ protocolVersion });
    await assert.rejects(device.subscribeAsync("t/demo/d/a/cmd", { qos: 1 }));
    await device.publishAsync(TOPIC, "1", { qos: 1 });
  }
});

test("a Last Will is stored when its device is lost, and not when it says goodbye", async (t) => {
  const { store, client } = await startPort(t);
  store.answer = "stored";
  const will = { topic: "t/demo/d/a/state", payload: Buffer.from("offline"), qos: 1, retain: true } as const;
  const polite = await client({ will });
  await polite.endAsync();
  const lost = await client({ will });
  lost.stream.destroy();
  await waitFor("the will", () => store.offered.length > 0);
  assert.deepEqual(store.texts, ["t/demo/d/a/state offline"]);
  assert.equal(store.offered[0].message.retain, true);
});

test("a device that connects again before its old connection is known to be dead: the Last Will of that comes first", async (t) => {
  const { store, client, port } = await startPort(t);
  store.answer = "stored";
  const will = { topic: "t/demo/d/a/state", payload: Buffer.from("offline"), qos: 1, retain: true } as const;
  await client({ clientId: "raw", will });
  const back = await rawClient(t, port);
  back.send(publishPacket(1));
  await waitFor("both", () => store.offered.length === 2);
  assert.deepEqual(store.texts, ["t/demo/d/a/state offline", `${TOPIC} 1`]);
});

/** A device of MQTT 5 whose will waits. */
function delayed(clientId: string, willDelayInterval: number, sessionExpiryInterval: number): IClientOptions {
  const will = { topic: `t/demo/d/${clientId}/state`, payload: Buffer.from("offline"), qos: 1, retain: true } as const;
  return {
    clientId,
    protocolVersion: 5,
    clean: false,
    properties: { sessionExpiryInterval },
    will: { ...will, properties: { willDelayInterval } },
  };
}

test("Will Delay Interval: the will is stored when it has passed, or when the session ends, whichever is first", async (t) => {
  const { store, client, devices } = await startPort(t);
  store.answer = "stored";
  const without = await client(delayed("none", 3600, 0));
  without.stream.destroy();
  await waitFor("the will of a session that ends with its connection", () => store.texts.length === 1);
  const short = await client(delayed("short", 1, 3600));
  const expiring = await client(delayed("expiring", 3600, 1));
  const long = await client(delayed("long", 3600, 0xffffffff));
  for (const one of [short, expiring, long]) one.stream.destroy();
  await waitFor("they are gone", () => devices.connections === 0);
  assert.equal(store.texts.length, 1, "not at once");
  await waitFor("two wills", () => store.texts.length === 3, { deadlineMs: 6_000 });
  assert.deepEqual(store.texts.toSorted(), ["expiring", "none", "short"].map((id) => `t/demo/d/${id}/state offline`).toSorted());
  await client({ clientId: "long", protocolVersion: 5, clean: true });
  assert.equal(store.texts.at(-1), "t/demo/d/long/state offline", "a clean start ends the session");
});

test("Will Delay Interval: a device that is back on its session in time was never away, also where its old connection is not known to be dead", async (t) => {
  const { store, client, devices } = await startPort(t);
  store.answer = "stored";
  const lost = await client(delayed("back", 1, 3600));
  lost.stream.destroy();
  await waitFor("it is gone", () => devices.connections === 0);
  await client(delayed("back", 3600, 3600));
  await client(delayed("taken", 1, 3600));
  await client(delayed("taken", 3600, 3600));
  // Later than theirs would have come.
  const witness = await client(delayed("witness", 1, 3600));
  witness.stream.destroy();
  await waitFor("the will of the witness", () => store.texts.length > 0, { deadlineMs: 6_000 });
  assert.deepEqual(store.texts, ["t/demo/d/witness/state offline"]);
});

test("Will Delay Interval: a clean start that takes the connection over ends the session, and the will comes first", async (t) => {
  const { store, client } = await startPort(t);
  store.answer = "stored";
  await client(delayed("a", 3600, 3600));
  const back = await client({ ...delayed("a", 3600, 3600), clean: true });
  await back.publishAsync(TOPIC, "1", { qos: 1 });
  assert.deepEqual(store.texts, ["t/demo/d/a/state offline", `${TOPIC} 1`]);
});

test("Will Delay Interval: wills that wait when the gateway stops are stored; of a device that is connected then there is none", async (t) => {
  const { store, client, devices } = await startPort(t);
  store.answer = "stored";
  await client(delayed("here", 3600, 3600));
  const lost = await client(delayed("gone", 3600, 3600));
  lost.stream.destroy();
  await waitFor("it is gone", () => devices.connections === 1);
  await devices.close();
  assert.deepEqual(store.texts, ["t/demo/d/gone/state offline"]);
});

test("MQTT 5: DISCONNECT with another reason than 0 leaves the will, and may shorten the session it waits for", async (t) => {
  const { store, port } = await startPort(t);
  store.answer = "stored";
  const goodbye = async (clientId: string, reasonCode: number): Promise<void> => {
    const { cmd: _, ...connect } = { cmd: "connect", ...delayed(clientId, 3600, 3600) };
    const { socket, send, received } = await rawClient(t, port, connect, 5);
    await waitFor("CONNACK", () => received.length > 0);
    send({ cmd: "disconnect", reasonCode, properties: { sessionExpiryInterval: 0 } });
    await waitFor("the end", () => socket.closed);
  };
  for (const [id, reason] of [
    ["polite", 0],
    ["will", 4],
    ["failed", 0x80],
  ] as const)
    await goodbye(id, reason);
  assert.deepEqual(store.texts, ["t/demo/d/will/state offline", "t/demo/d/failed/state offline"]);
});

test("MQTT 5: a session is there until its expiry interval has passed, and not longer", async (t) => {
  const { store, port, devices } = await startPort(t);
  store.answer = "stored";
  const { cmd: _, ...connect } = { cmd: "connect", ...delayed("a", 3600, 1) };
  const isPresent = async (): Promise<boolean> => {
    const { socket, received } = await rawClient(t, port, connect, 5);
    const connack = await waitFor("CONNACK", () => received.find((packet) => packet.cmd === "connack"));
    socket.destroy();
    await waitFor("it is gone", () => devices.connections === 0);
    return connack.sessionPresent;
  };
  assert.equal(await isPresent(), false);
  assert.equal(await isPresent(), true);
  await waitFor("the will says that it is over", () => store.texts.length > 0, { deadlineMs: 6_000 });
  assert.equal(await isPresent(), false);
});

test("the same client id ends the connection before it; another name's does not", async (t) => {
  const keepers: DoorKeepers = { clientCertificates: false, anonymous: false, passwords: { check: () => true } };
  const { client, devices } = await startPort(t, keepers);
  const one = await client({ clientId: "x", username: "demo/d/a", password: "p", protocolVersion: 5 });
  const other = await client({ clientId: "x", username: "demo/d/b", password: "p" });
  assert.ok(one.connected);
  await client({ clientId: "x", username: "demo/d/a", password: "p" });
  await waitFor("the first is ended", () => !one.connected);
  assert.ok(other.connected);
  assert.equal(devices.connections, 2);
});

test("a packet over the size ends the connection, before its bytes are kept", async (t) => {
  const { store, devices, client } = await startPort(t);
  const device = await client({ protocolVersion: 5 });
  const reason = new Promise((resolve) => device.once("disconnect", ({ reasonCode }) => resolve(reasonCode)));
  device.publish(TOPIC, Buffer.alloc(20_000), { qos: 1 });
  assert.equal(await reason, 0x95);
  assert.equal(store.offered.length, 0);
  assert.equal(devices.counters.protocolErrors, 1);
});

test("a silent device is ended after one and a half times its keep alive", async (t) => {
  const { port } = await startPort(t);
  const { socket } = await rawClient(t, port, { keepalive: 1 });
  await waitFor("the end", () => socket.closed, { deadlineMs: 5_000 });
});

test("no bytes whatever end more than their own connection", async (t) => {
  const { store, devices, client, port } = await startPort(t);
  store.answer = "stored";
  const valid = Buffer.concat(
    [
      { cmd: "connect", clientId: "f", clean: true, keepalive: 0, protocolId: "MQTT", protocolVersion: 5 } as Packet,
      publishPacket(1),
      publishPacket(2, 2),
    ].map((packet) => mqttPacket.generate(packet, { protocolVersion: 5 })),
  );
  const flips = fc.array(fc.tuple(fc.nat(valid.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(fc.oneof(flips, fc.uint8Array({ minLength: 1, maxLength: 300 })), async (input) => {
      let bytes = Buffer.from(valid);
      if (input instanceof Uint8Array) bytes = Buffer.from(input);
      else for (const [at, value] of input) bytes[at] = value;
      const socket = connectSocket(port, "127.0.0.1");
      socket.on("error", () => undefined);
      socket.resume();
      socket.end(bytes);
      await once(socket, "close");
    }),
    { numRuns: 300 },
  );
  const device = await client();
  await device.publishAsync(TOPIC, "still here", { qos: 1 });
  assert.ok(devices.counters.protocolErrors > 0);
});
