/** The ingress on the wire, against a broker played by hand: what MQTT.js must not do behind our back, in both protocol versions. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { Registry } from "prom-client";
import { ADMISSION_DEFAULTS } from "../../../bridge/admission/settings.ts";
import type { IngressOptions } from "../../../bridge/ingress.ts";
import { LogError } from "../../../eventlog/errors.ts";
import { waitFor } from "../../support/wait-for.ts";
import { FakeWriter, fakeLog } from "./fake-writer.ts";
import { makeIngress } from "./ingress-fixture.ts";
import { ScriptedBroker, type ScriptedConnection } from "./scripted-broker.ts";

async function connected(t: TestContext, protocolVersion: 4 | 5, settings: object = {}, more: Partial<IngressOptions> = {}) {
  const broker = await ScriptedBroker.start(t, protocolVersion);
  const writer = new FakeWriter();
  const registry = new Registry();
  const ingress = makeIngress(t, fakeLog(writer), { url: broker.url, protocolVersion, ...settings }, registry, more);
  const started = ingress.start();
  // Some tests end before the subscription: then stop() rejects it, which is not what they are about.
  started.catch(() => undefined);
  const connection = await broker.connection(0);
  return { broker, writer, ingress, started, connection, registry };
}

/** A round trip: what the ingress had to answer to earlier packets has come when this is over. */
async function roundTrip(connection: ScriptedConnection): Promise<void> {
  const before = connection.acks.length;
  connection.send({ cmd: "pubrel", messageId: 60_000 });
  await waitFor("the answer to a PUBREL", () => connection.acks.slice(before).includes("pubcomp 60000"));
  connection.received.splice(
    connection.received.findIndex((packet) => packet.cmd === "pubcomp" && packet.messageId === 60_000),
    1,
  );
}

for (const version of [4, 5] as const) {
  const name = version === 4 ? "MQTT 3.1.1" : "MQTT 5";

  test(`${name}: asks for a persistent session and subscribes`, async (t) => {
    const { connection, started } = await connected(t, version, { windowMessages: 77 });
    connection.send(connection.connack(false));
    await started;
    const connect = await connection.expect("connect");
    assert.ok(connect.cmd === "connect");
    assert.deepEqual([connect.clean, connect.clientId], [false, "ingress-test"]);
    if (version === 5) {
      assert.equal(connect.properties?.receiveMaximum, 77);
      assert.equal(connect.properties?.sessionExpiryInterval, 7 * 24 * 3600);
    }
    const subscribe = await connection.expect("subscribe");
    assert.ok(subscribe.cmd === "subscribe");
    assert.deepEqual(
      subscribe.subscriptions.map(({ topic, qos }) => [topic, qos]),
      [["t/+/d/+/telemetry", 2]],
    );
  });

  test(`${name}: messages right behind CONNACK are taken, and acknowledged only when durable, in order`, async (t) => {
    const { connection, writer } = await connected(t, version);
    connection.send(connection.connack(true), connection.publish(3, 1), connection.publish(9, 2), connection.publish(4, 1));
    await waitFor("three writes", () => writer.sent.length === 3);
    await roundTrip(connection);
    assert.deepEqual(connection.acks, []);
    writer.sent[2].done();
    writer.sent[1].done();
    await roundTrip(connection);
    assert.deepEqual(connection.acks, []);
    writer.sent[0].done();
    await waitFor("three acknowledgements", () => connection.acks.length === 3);
    assert.deepEqual(connection.acks, ["puback 3", "pubrec 9", "puback 4"]);
    connection.send({ cmd: "pubrel", messageId: 9 });
    await waitFor("PUBCOMP", () => connection.acks.includes("pubcomp 9"));
  });

  test(`${name}: a write that becomes durable after a reconnect acknowledges nothing on the new connection`, async (t) => {
    const { broker, connection, writer } = await connected(t, version);
    connection.send(connection.connack(true), connection.publish(7, 1, "old"));
    await waitFor("the write", () => writer.sent.length === 1);
    connection.socket.destroy();
    const second = await broker.connection(1);
    second.send(second.connack(true), second.publish(7, 1, "new"));
    await waitFor("the second write", () => writer.sent.length === 2);
    writer.sent[0].done();
    await roundTrip(second);
    assert.deepEqual(second.acks, []);
    writer.sent[1].done();
    await waitFor("PUBACK", () => second.acks.length === 1);
    assert.deepEqual(second.acks, ["puback 7"]);
  });

  test(`${name}: a QoS 2 message sent again before PUBREL is written once, across a reconnect too`, async (t) => {
    const { broker, connection, writer } = await connected(t, version);
    connection.send(connection.connack(true), connection.publish(7, 2));
    await waitFor("the write", () => writer.sent.length === 1);
    connection.socket.destroy();
    const second = await broker.connection(1);
    second.send(second.connack(true), second.publish(7, 2, undefined, true));
    await roundTrip(second);
    assert.deepEqual(second.acks, []);
    writer.release();
    await waitFor("PUBREC", () => second.acks.length === 1);
    second.send({ cmd: "pubrel", messageId: 7 }, second.publish(7, 2, "the id again"));
    await waitFor("the next message", () => writer.sent.length === 2);
    assert.deepEqual(second.acks, ["pubrec 7", "pubcomp 7"]);
    assert.deepEqual(
      writer.sent.map(({ value }) => value.toString()),
      ['{"seq":7}', "the id again"],
    );
    writer.release();
  });
}

test("packets of a lost connection that MQTT.js still has are not taken", async (t) => {
  const { broker, connection, writer } = await connected(t, 5, { windowMessages: 1 });
  connection.send(connection.connack(true), connection.publish(1, 1), connection.publish(2, 1), connection.publish(3, 1));
  await waitFor("the first write", () => writer.sent.length === 1);
  connection.socket.destroy();
  const second = await broker.connection(1);
  writer.release();
  second.send(second.connack(true));
  await roundTrip(second);
  assert.deepEqual([writer.sent.length, second.acks], [1, []]);
});

test("a subscription is renewed when the broker lost the session, and only then", async (t) => {
  const { broker, connection, started } = await connected(t, 5);
  connection.send(connection.connack(false));
  await started;
  connection.socket.destroy();
  const second = await broker.connection(1);
  second.send(second.connack(true));
  await roundTrip(second);
  second.socket.destroy();
  const third = await broker.connection(2);
  third.send(third.connack(false));
  await third.expect("subscribe");
  assert.equal(
    second.received.some(({ cmd }) => cmd === "subscribe"),
    false,
  );
});

test("a refused connection and a refused subscription are tried again", async (t) => {
  const { broker, connection, started } = await connected(t, 5);
  connection.send({ cmd: "connack", reasonCode: 136, sessionPresent: false });
  const second = await broker.connection(1);
  second.grants = 135;
  second.send(second.connack(false));
  const third = await broker.connection(2);
  third.send(third.connack(false));
  await started;
});

test("a failed write ends the connection without acknowledging, and the redelivered message is written", async (t) => {
  const { broker, connection, writer, ingress } = await connected(t, 5);
  connection.send(connection.connack(true), connection.publish(1, 1), connection.publish(2, 1));
  await waitFor("two writes", () => writer.sent.length === 2);
  writer.sent[0].done(new LogError("unknown-outcome", "timed out"));
  writer.sent[1].done();
  await waitFor("the connection ends", () => connection.closed);
  assert.deepEqual(connection.acks, []);
  const second = await broker.connection(1);
  second.send(second.connack(true), second.publish(1, 1, "1", true), second.publish(2, 1, "2", true));
  await waitFor("two more writes", () => writer.sent.length === 4);
  writer.release();
  await waitFor("both acknowledged", () => second.acks.length === 2);
  assert.equal(ingress.stats().writeFailures, 1);
});

test("reconnects back off while writes keep failing, though each connection succeeds", async (t) => {
  const { broker, writer } = await connected(t, 5, { reconnectMinMs: 20, reconnectMaxMs: 320 });
  const at: number[] = [];
  for (let i = 0; i < 7; i++) {
    const connection = await broker.connection(i);
    at.push(performance.now());
    connection.send(connection.connack(true), connection.publish(1, 1));
    await waitFor("the write", () => writer.pending.size === 1, { intervalMs: 1 });
    for (const record of [...writer.pending]) record.done(new LogError("unavailable", "away"));
  }
  const lastGapMs = at[6] - at[5];
  assert.ok(lastGapMs > 150, `the sixth reconnect came after ${lastGapMs} ms`);
});

test("a frozen log: the window fills, nothing is acknowledged, the connection outlives its keepalive, and all goes on after", async (t) => {
  const { broker, connection, writer, ingress } = await connected(t, 5, { windowMessages: 5, keepaliveS: 1 });
  connection.send(connection.connack(true), ...Array.from({ length: 50 }, (_, i) => connection.publish(i + 1, 1)));
  await waitFor("the window is full", () => writer.sent.length === 5);
  const pings = (): number => connection.received.filter(({ cmd }) => cmd === "pingreq").length;
  // Eight pings at a third of a second each: well over the 1.5 s after which either side would give up.
  await waitFor("pings while held", () => pings() >= 8);
  assert.deepEqual([writer.sent.length, connection.acks.length, ingress.stats().inFlight], [5, 0, 5]);
  writer.auto = true;
  writer.release();
  await waitFor("all acknowledged", () => connection.acks.length === 50);
  assert.equal(broker.connections.length, 1);
});

test("stop: waits for what is in flight, acknowledges it, takes nothing new, then disconnects", async (t) => {
  const { connection, writer, ingress } = await connected(t, 5);
  connection.send(connection.connack(true), connection.publish(1, 1), connection.publish(2, 1));
  await waitFor("two writes", () => writer.sent.length === 2);
  const stopped = ingress.stop();
  connection.send(connection.publish(3, 1));
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(
    connection.received.some(({ cmd }) => cmd === "disconnect"),
    false,
  );
  writer.release();
  await stopped;
  await waitFor("DISCONNECT", () => connection.received.at(-1)?.cmd === "disconnect");
  assert.deepEqual(connection.acks, ["puback 1", "puback 2"]);
  assert.equal(
    connection.received.some(({ cmd }) => cmd === "unsubscribe"),
    false,
    "the session keeps its subscription",
  );
  assert.equal(writer.sent.length, 2);
});

test("stop is bounded when the log is frozen, and acknowledges nothing then", async (t) => {
  const { connection, writer, ingress } = await connected(t, 5, { stopTimeoutMs: 100 });
  connection.send(connection.connack(true), connection.publish(1, 1));
  await waitFor("the write", () => writer.sent.length === 1);
  await ingress.stop();
  assert.deepEqual(connection.acks, []);
});

test("stop before the broker was ever reached makes start() say so", async (t) => {
  const { ingress, started } = await connected(t, 5);
  const rejected = assert.rejects(started, { code: "stopped" });
  await ingress.stop();
  await rejected;
});

test("the metrics tell what happened, read when scraped", async (t) => {
  const admission = { ...ADMISSION_DEFAULTS, badTopicRate: { perSecond: 0.001, burst: 1 } };
  const { connection, writer, registry } = await connected(t, 5, {}, { admission });
  writer.auto = true;
  connection.send(connection.connack(true), connection.publish(0, 0), connection.publish(1, 1), connection.publish(2, 2));
  for (const id of [3, 4]) connection.send({ ...connection.publish(id, 1), topic: "t/demo/x" } as never);
  await waitFor("acknowledgements", () => connection.acks.length === 4);
  const text = await registry.metrics();
  for (const line of [
    'sluice_ingress_received_total{qos="0"} 1',
    'sluice_ingress_received_total{qos="1"} 3',
    'sluice_ingress_dead_letters_total{reason="bad-topic"} 1',
    'sluice_ingress_admission_total{action="drop",reason="bad-topic-rate",tenant="|none"} 1',
    "sluice_ingress_written_total 3",
    "sluice_ingress_acked_total 4",
    "sluice_ingress_in_flight 0",
    "sluice_ingress_connected 1",
  ]) {
    assert.ok(text.includes(`${line}\n`), line);
  }
});
