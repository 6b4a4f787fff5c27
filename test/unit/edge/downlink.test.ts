/** What comes down from a broker that is played by hand, to devices that answer when they are told to. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import type { Delivery, DownMessage } from "../../../bridge/edge/down-message.ts";
import { Downlink } from "../../../bridge/edge/downlink.ts";
import { recorder } from "../../support/log-recorder.ts";
import { waitFor } from "../../support/wait-for.ts";
import { RawBroker } from "../bridge/raw-broker.ts";
import { ScriptedBroker, type ScriptedConnection } from "../bridge/scripted-broker.ts";
import { SILENT } from "./support.ts";

const TOPIC = "t/demo/d/a/telemetry";
const OTHER = "t/demo/d/b/telemetry";

async function start(t: TestContext, version: 4 | 5) {
  const broker = await ScriptedBroker.start(t, version);
  const downlink = new Downlink({
    mqtt: { url: broker.url, clientId: "unused", topics: [], qos: 1, protocolVersion: version, reconnectMinMs: 10, reconnectMaxMs: 20 },
    gatewayId: "g1",
    settings: { windowMessages: 3, deviceWindow: 10, deviceQueue: 10, ackTimeoutMs: 1_000 },
    logger: SILENT,
  });
  const came: { message: DownMessage; done: (delivery: Delivery) => void }[] = [];
  let isRead = true;
  downlink.deliverTo((message, done) => {
    if (isRead) came.push({ message, done });
    return isRead;
  });
  t.after(() => downlink.stop());
  const connection = async (sessionPresent: boolean): Promise<ScriptedConnection> => {
    const found = await waitFor("the connection", () => broker.connections.find(({ closed }) => !closed));
    await found.expect("connect");
    found.send(found.connack(sessionPresent));
    return found;
  };
  const texts = (): string[] => came.map(({ message }) => message.payload.toString());
  return { broker, downlink, came, texts, connection, nobodyReads: () => (isRead = false) };
}

for (const version of [4, 5] as const) {
  test(`MQTT ${version}, QoS 1: the broker's acknowledgement waits for the device's, and they go in the order of the messages`, async (t) => {
    const { downlink, came, connection } = await start(t, version);
    downlink.add(TOPIC);
    const broker = await connection(false);
    const { subscriptions } = (await broker.expect("subscribe")) as { subscriptions?: { topic: string; qos: number }[] };
    assert.deepEqual(
      subscriptions?.map(({ topic, qos }) => [topic, qos]),
      [[TOPIC, 2]],
    );
    broker.send(broker.publish(1, 1), broker.publish(2, 1), broker.publish(3, 0), broker.publish(4, 1));
    await waitFor("all four", () => came.length === 4);
    came[1].done("delivered");
    came[3].done("timeout");
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(broker.acks, []);
    came[0].done("delivered");
    await waitFor("the acknowledgements", () => broker.acks.length === 3);
    assert.deepEqual(broker.acks, ["puback 1", "puback 2", "puback 4"]);
    const { deliveries, received } = downlink.stats();
    assert.deepEqual([received, deliveries.delivered, deliveries.timeout], [4, 2, 1]);
  });

  test(`MQTT ${version}, QoS 2: a message goes to the device after PUBREL, once, whatever is sent again and wherever the line breaks`, async (t) => {
    const { downlink, texts, connection } = await start(t, version);
    downlink.add(TOPIC);
    const first = await connection(false);
    first.send(first.publish(1, 2, "a"), first.publish(1, 2, "a", true));
    await waitFor("PUBREC, twice", () => first.acks.length === 2);
    assert.deepEqual(texts(), [], "the broker may still send it again");
    first.socket.destroy();
    await waitFor("it is noticed", () => !downlink.stats().connected);

    const second = await connection(true);
    second.send(second.publish(1, 2, "a", true), { cmd: "pubrel", messageId: 1 });
    await waitFor("it", () => texts().length === 1);
    second.socket.destroy();
    await waitFor("it is noticed", () => !downlink.stats().connected);

    // PUBCOMP was lost.
    const third = await connection(true);
    third.send({ cmd: "pubrel", messageId: 1 }, third.publish(1, 2, "b"), { cmd: "pubrel", messageId: 1 });
    await waitFor("the next", () => texts().length === 2);
    assert.deepEqual(texts(), ["a", "b"]);
    await waitFor("PUBCOMP for both", () => third.acks.filter((ack) => ack === "pubcomp 1").length === 2);
  });
}

test("a session that the broker has lost: what was not released is counted, its id is another message's, and topics are asked for again", async (t) => {
  const { downlink, texts, connection } = await start(t, 5);
  downlink.add(TOPIC);
  const first = await connection(false);
  first.send(first.publish(1, 2, "a"));
  await waitFor("PUBREC", () => first.acks.length === 1);
  first.socket.destroy();
  await waitFor("it is noticed", () => !downlink.stats().connected);
  const second = await connection(false);
  await second.expect("subscribe");
  second.send({ cmd: "pubrel", messageId: 1 }, second.publish(1, 2, "b"), { cmd: "pubrel", messageId: 1 });
  await waitFor("the second", () => texts().length === 1);
  assert.deepEqual([texts(), downlink.stats().deliveries["session-lost"]], [["b"], 1]);
});

test("beyond the window nothing is read, and reading goes on with the acknowledgements", async (t) => {
  const { downlink, came, connection } = await start(t, 4);
  downlink.add(TOPIC);
  const broker = await connection(false);
  broker.send(...[1, 2, 3, 4, 5].map((id) => broker.publish(id, 1)));
  await waitFor("the window", () => came.length === 3);
  came[0].done("delivered");
  await waitFor("one more", () => came.length === 4);
  for (const { done } of came) done("delivered");
  await waitFor("the last", () => came.length === 5);
});

for (const version of [4, 5] as const) {
  test(`MQTT ${version}: an upstream broker that answers neither SUBSCRIBE nor UNSUBSCRIBE loses the connection, and is asked again on the next`, async (t) => {
    const broker = await RawBroker.start(t, version);
    const { logger, said } = recorder();
    const downlink = new Downlink({
      mqtt: { url: broker.url, clientId: "", topics: [], qos: 1, protocolVersion: version, connectTimeoutMs: 200, reconnectMinMs: 1 },
      gatewayId: "g1",
      settings: { windowMessages: 3, deviceWindow: 10, deviceQueue: 10, ackTimeoutMs: 1_000 },
      logger,
    });
    t.after(() => downlink.stop());
    const errors = (): string[] =>
      said("ending the mqtt connection, so that the broker delivers again").map(({ err }) => (err as { message: string }).message);
    const granted = [1];

    downlink.add(TOPIC);
    const deaf = await broker.next();
    deaf.socket.write(broker.connack(0, false));
    await deaf.until("subscribe");
    await waitFor("it is given up", () => deaf.closed);
    assert.match(errors()[0], /not answered SUBSCRIBE/);

    const second = await broker.next();
    second.socket.write(broker.connack(0, true));
    const { messageId } = await second.until("subscribe");
    second.socket.write(broker.bytes({ cmd: "suback", messageId, granted }));
    await waitFor("the subscription", () => downlink.stats().topics === 1);
    downlink.remove(TOPIC);
    await second.until("unsubscribe");
    await waitFor("it is given up", () => second.closed);
    assert.match(errors()[1], /not answered UNSUBSCRIBE/);

    const third = await broker.next();
    third.socket.write(broker.connack(0, true));
    const unsubscribe = await third.until("unsubscribe");
    third.socket.write(broker.bytes({ cmd: "unsuback", messageId: unsubscribe.messageId, granted: [0] }));
    downlink.add(OTHER);
    const subscribe = await third.until("subscribe");
    third.socket.write(broker.bytes({ cmd: "suback", messageId: subscribe.messageId, granted }));
    await waitFor("the other topic", () => downlink.stats().topics === 1);
    assert.deepEqual([errors().length, broker.connections], [2, 3]);
  });
}

test("an answered SUBSCRIBE leaves no timer behind: the connection stays", async (t) => {
  const broker = await RawBroker.start(t, 5);
  const { logger } = recorder();
  const downlink = new Downlink({
    mqtt: { url: broker.url, clientId: "", topics: [], qos: 1, connectTimeoutMs: 100, keepaliveS: 1, reconnectMinMs: 1 },
    gatewayId: "g1",
    settings: { windowMessages: 3, deviceWindow: 10, deviceQueue: 10, ackTimeoutMs: 1_000 },
    logger,
  });
  t.after(() => downlink.stop());
  downlink.add(TOPIC);
  const connection = await broker.next();
  connection.socket.write(broker.connack(0, false));
  const { messageId } = await connection.until("subscribe");
  connection.socket.write(broker.bytes({ cmd: "suback", messageId, granted: [1] }));
  await connection.until("pingreq"); // later than connectTimeoutMs
  assert.equal(connection.closed, false);
});

test("what nobody here reads is acknowledged, counted, and unsubscribed; it connects when somebody reads, and not before", async (t) => {
  const { broker, downlink, connection, nobodyReads } = await start(t, 5);
  assert.equal(broker.connections.length, 0);
  downlink.add("t/demo/d/b/cmd");
  nobodyReads();
  const connected = await connection(true);
  connected.send(connected.publish(1, 1), connected.publish(2, 2), { cmd: "pubrel", messageId: 2 });
  const { unsubscriptions } = (await connected.expect("unsubscribe")) as { unsubscriptions?: string[] };
  assert.deepEqual(unsubscriptions, [TOPIC]);
  await waitFor("the answers", () => connected.acks.length === 3);
  assert.equal(downlink.stats().deliveries.away, 2);
});
