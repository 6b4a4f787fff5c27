/** The connection that commands go out on, against a broker played by hand. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { IConnectPacket, IPublishPacket } from "mqtt-packet";
import { pino } from "pino";
import { CommandLink } from "../../../bridge/commands/command-link.ts";
import { commandMessage } from "../../../bridge/commands/command-message.ts";
import { OpenCommand } from "../../../bridge/commands/open-command.ts";
import { resolveMqttSettings, type RefreshedCredentials } from "../../../bridge/ingress-settings.ts";
import { CleanupList, type Cleanup } from "../../support/cleanup.ts";
import { waitFor } from "../../support/wait-for.ts";
import { ScriptedBroker, type ScriptedConnection } from "../bridge/scripted-broker.ts";
import { command, NOW } from "./support.ts";

interface Rig {
  readonly link: CommandLink;
  readonly broker: ScriptedBroker;
  readonly connection: ScriptedConnection;
  /** E.g. `c1 confirmed`, in the order told. */
  readonly outcomes: string[];
  readonly publish: (id: string, qos: 0 | 1 | 2) => void;
  readonly published: () => IPublishPacket[];
}

function startLink(t: Cleanup, broker: ScriptedBroker, refresh?: RefreshedCredentials): CommandLink {
  const settings = resolveMqttSettings({
    url: broker.url,
    clientId: "commands",
    topics: ["x"],
    qos: 1,
    reconnectMinMs: 10,
    reconnectMaxMs: 20,
    username: "sluice",
    refresh,
  });
  const link = new CommandLink(settings, pino({ level: "silent" }), () => undefined);
  t.after(() => link.stop(100));
  link.start();
  return link;
}

async function rig(t: Cleanup, properties: { receiveMaximum?: number } = {}, refresh?: RefreshedCredentials): Promise<Rig> {
  const broker = await ScriptedBroker.start(t, 5);
  const link = startLink(t, broker, refresh);
  const connection = await broker.connection(0);
  connection.send({ cmd: "connack", reasonCode: 0, sessionPresent: false, properties });
  await waitFor("connected", () => link.connected);
  const outcomes: string[] = [];
  const publish = (id: string, qos: 0 | 1 | 2): void => {
    const open = new OpenCommand(command(id, { qos, guarantee: qos === 1 ? "at-least-once" : "at-most-once" }), 0, 0);
    link.publish(commandMessage(open, "envelope", NOW), ({ kind }) => outcomes.push(`${id} ${kind}`));
  };
  const published = (): IPublishPacket[] =>
    broker.connections.flatMap(({ received }) => received.filter((packet) => packet.cmd === "publish"));
  return { link, broker, connection, outcomes, publish, published };
}

function linkTest(name: string, body: (t: Cleanup) => Promise<void>): void {
  void test(name, async (context) => {
    const t = new CleanupList();
    context.after(() => t.run());
    await body(t);
  });
}

linkTest("PUBACK and PUBREC say what became of a message: taken, nobody subscribed, refused", async (t) => {
  const { connection, outcomes, publish, published } = await rig(t);
  for (const [id, qos] of [["a", 1], ["b", 2], ["c", 1], ["d", 2], ["e", 1], ["f", 0]] as const) publish(id, qos); // prettier-ignore
  await waitFor("all out", () => published().length === 6);
  const idOf = (id: string): number => published().find(({ payload }) => payload.includes(`"id":"${id}"`))?.messageId ?? 0;
  connection.send(
    { cmd: "puback", messageId: idOf("a"), reasonCode: 0 },
    { cmd: "pubrec", messageId: idOf("b"), reasonCode: 0 },
    { cmd: "puback", messageId: idOf("c"), reasonCode: 0x10 },
    { cmd: "pubrec", messageId: idOf("d"), reasonCode: 0x87 },
    { cmd: "puback", messageId: idOf("e"), reasonCode: 0x97 },
  );
  await waitFor("all outcomes", () => outcomes.length === 6);
  assert.deepEqual(outcomes.sort(), ["a confirmed", "b confirmed", "c no-subscriber", "d refused", "e refused", "f written"]);
});

linkTest("a lost connection makes what was not answered unknown, and the next connection sends none of it again", async (t) => {
  const { link, broker, connection, outcomes, publish, published } = await rig(t);
  publish("a", 1);
  publish("b", 2);
  await waitFor("both out", () => published().length === 2);
  connection.socket.destroy();
  await waitFor("both outcomes", () => outcomes.length === 2);
  assert.deepEqual(outcomes, ["a unknown", "b unknown"]);
  publish("c", 1);
  await waitFor("c refused in place", () => outcomes.length === 3);
  assert.equal(outcomes[2], "c not-written");
  const next = await broker.connection(1);
  next.send({ cmd: "connack", reasonCode: 0, sessionPresent: true });
  await waitFor("connected again", () => link.connected);
  publish("d", 1);
  await waitFor("d out", () => published().length === 3);
  assert.deepEqual(
    next.received.filter(({ cmd }) => cmd === "publish" || cmd === "pubrel").length,
    1,
    "d alone: an at-most-once message that MQTT repeats by itself would arrive twice",
  );
});

linkTest("it comes with what its files say, and with new ones connects again once what is in the air is answered", async (t) => {
  let version = 0;
  const refresh = { version: () => version, current: () => ({ password: `password-${version}` }) };
  const { link, broker, connection, outcomes, publish, published } = await rig(t, {}, refresh);
  assert.equal(String(((await connection.expect("connect")) as IConnectPacket).password), "password-0");
  publish("a", 1);
  publish("b", 2);
  await waitFor("both out", () => published().length === 2);
  version = 1;
  await waitFor("no more is taken", () => link.room === 0, { deadlineMs: 3_000 });
  publish("c", 1);
  await waitFor("c refused in place", () => outcomes.length === 1);
  const [a, b] = published().map(({ messageId }) => messageId);
  connection.send({ cmd: "puback", messageId: a, reasonCode: 0 }, { cmd: "pubrec", messageId: b, reasonCode: 0 });
  await connection.expect("pubrel");
  assert.equal(connection.closed, false, "b is not over yet");
  connection.send({ cmd: "pubcomp", messageId: b, reasonCode: 0 });
  const next = await broker.connection(1);
  assert.deepEqual(outcomes, ["c not-written", "a confirmed", "b confirmed"]);
  await connection.expect("disconnect");
  assert.equal(String(((await next.expect("connect")) as IConnectPacket).password), "password-1");
  next.send({ cmd: "connack", reasonCode: 0, sessionPresent: false });
  await waitFor("there is room again", () => link.room > 0);
});

linkTest(
  "new credentials while nothing is answered: the connection is ended all the same, and what is in the air is unknown",
  async (t) => {
    let version = 0;
    const { broker, outcomes, publish, published } = await rig(t, {}, { version: () => version, current: () => ({}) });
    publish("a", 1);
    await waitFor("out", () => published().length === 1);
    version = 1;
    await waitFor("a new connection", () => broker.connections.length === 2, { deadlineMs: 15_000 });
    assert.deepEqual(outcomes, ["a unknown"]);
  },
);

linkTest("no more is in the air than the broker's Receive Maximum, a QoS 2 message until its PUBCOMP", async (t) => {
  const { link, connection, publish, published } = await rig(t, { receiveMaximum: 2 });
  assert.equal(link.room, 2);
  publish("a", 1);
  publish("b", 2);
  assert.equal(link.room, 0);
  await waitFor("both out", () => published().length === 2);
  const [a, b] = published().map(({ messageId }) => messageId);
  connection.send({ cmd: "puback", messageId: a, reasonCode: 0 }, { cmd: "pubrec", messageId: b, reasonCode: 0 });
  await waitFor("a is over", () => link.room === 1);
  await connection.expect("pubrel");
  assert.equal(link.room, 1);
  connection.send({ cmd: "pubcomp", messageId: b, reasonCode: 0 });
  await waitFor("b is over", () => link.room === 2);
});

linkTest("a broker that knows MQTT 3.1.1 only is asked again with it, and gets no properties", async (t) => {
  const broker = await ScriptedBroker.start(t, 4);
  const link = startLink(t, broker);
  const first = await broker.connection(0);
  first.send({ cmd: "connack", returnCode: 1, sessionPresent: false });
  const second = await broker.connection(1);
  second.send({ cmd: "connack", returnCode: 0, sessionPresent: false });
  await waitFor("connected", () => link.connected);
  link.publish(commandMessage(new OpenCommand(command("a"), 0, 0), "envelope", NOW), () => undefined);
  const packet = (await second.expect("publish")) as IPublishPacket;
  assert.equal(packet.topic, "t/demo/d/device-1/cmd");
  assert.equal(packet.properties, undefined);
});
