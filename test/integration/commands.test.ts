/** Commands to devices and their answers, over real brokers, on the embedded log and on Kafka. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { startEmbeddedBroker } from "../../bridge/embedded-broker.ts";
import { EmbeddedLog } from "../../eventlog/embedded/embedded-log.ts";
import type { EventLog } from "../../eventlog/port.ts";
import { commandKey, isFinal, type Command, type CommandStatus } from "../../processors/formats/commands.ts";
import { CleanupList, type Cleanup } from "../support/cleanup.ts";
import { TestDevice } from "../support/command-device.ts";
import {
  commandTopics,
  createCommandTopics,
  issue,
  LANES,
  issueValues,
  makeCommandService,
  newCommand,
  openKafkaLog,
  readStatuses,
  startAckIngress,
  type CommandTopics,
} from "../support/command-rig.ts";
import { FaultyLog } from "../support/faulty-log.ts";
import { startMosquitto } from "../support/mosquitto.ts";
import { need } from "../support/need.ts";
import { sharedKafka } from "../support/shared-kafka.ts";
import { tempDir } from "../support/temp-dir.ts";
import { uniqueName } from "../support/unique-name.ts";
import { waitFor } from "../support/wait-for.ts";

const noMosquitto = await need("mosquitto");
const noKafka = await need("kafka", "mosquitto");

/** What was started last is stopped first: a service before its log and its broker. */
function reversed(context: TestContext): Cleanup {
  const list = new CleanupList();
  context.after(() => list.run());
  return list;
}

interface World {
  readonly log: EventLog;
  readonly topics: CommandTopics;
  readonly url: string;
}

async function embedded(t: Cleanup): Promise<EventLog> {
  const log = await EmbeddedLog.open({ dir: tempDir(t, "commands-log") });
  t.after(() => log.close());
  return log;
}

async function world(log: EventLog, url: string): Promise<World> {
  const topics = commandTopics(uniqueName("cmd"));
  await createCommandTopics(log, topics);
  return { log, topics, url };
}

async function aedes(t: Cleanup): Promise<string> {
  const broker = await startEmbeddedBroker({ host: "127.0.0.1", port: 0 });
  t.after(() => broker.close());
  return broker.url;
}

/** The states of each command, e.g. `accepted sent delivered`. */
async function states({ log, topics }: World): Promise<(command: Command) => string> {
  const all = await readStatuses(log, topics.status);
  return (command) => (all.get(commandKey(command)) ?? []).map(({ state }) => state).join(" ");
}

async function lastStatus({ log, topics }: World, command: Command): Promise<CommandStatus | undefined> {
  return (await readStatuses(log, topics.status)).get(commandKey(command))?.at(-1);
}

function untilState(on: World, command: Command, state: CommandStatus["state"]): Promise<CommandStatus> {
  return waitFor(
    `${command.id} is ${state}`,
    async () => {
      const status = await lastStatus(on, command);
      return status?.state === state ? status : undefined;
    },
    { deadlineMs: 20_000 },
  );
}

const BROKERS = [
  {
    name: "embedded log, aedes, MQTT 3.1.1 throughout",
    skip: false,
    version: 4,
    start: async (t: Cleanup) => world(await embedded(t), await aedes(t)),
  },
  {
    name: "embedded log, Mosquitto, MQTT 5",
    skip: noMosquitto,
    version: 5,
    start: async (t: Cleanup) => world(await embedded(t), (await startMosquitto(t)).url),
  },
  {
    name: "Kafka, Mosquitto, MQTT 5",
    skip: noKafka,
    version: 5,
    start: async (t: Cleanup) => world(openKafkaLog(t, (await sharedKafka()).bootstrap), (await startMosquitto(t)).url),
  },
] as const;

for (const { name, skip, version, start } of BROKERS) {
  test(`${name}: each QoS and guarantee is carried out once, told of step by step, and answered`, { skip }, async (context) => {
    const t = reversed(context);
    const on = await start(t);
    const device = await new TestDevice(t, on.url, { protocolVersion: version }).connect();
    device.answer = { status: "ok", result: { done: true } };
    await startAckIngress(t, on.log, on.topics, on.url, version);
    const service = makeCommandService(t, on.log, on.topics, on.url, {
      protocolVersion: version,
      bounds: { ackRetryMinMs: 60_000, ackRetryMaxMs: 60_000 },
    });
    await service.start();
    const commands = [
      newCommand({ guarantee: "at-most-once", qos: 0 }),
      newCommand({ guarantee: "at-most-once", qos: 2 }),
      newCommand({ guarantee: "at-least-once", qos: 1 }),
      newCommand({ guarantee: "at-least-once", qos: 2 }),
    ];
    for (const command of commands) {
      // One at a time: aedes 1.2.0 forgets the PUBREL of one of two QoS 2 messages that are under way to a persistent session.
      await issue(on.log, on.topics.commands, [command]);
      const status = await untilState(on, command, "acknowledged");
      assert.deepEqual(status.result, { done: true });
    }
    const of = await states(on);
    // An answer may overtake the broker's.
    for (const command of commands) assert.match(of(command), /^accepted sent( delivered)? acknowledged$/);
    for (const { id } of commands) assert.equal(device.seen.get(id), 1);
    // Issued once more under the same ids: nothing happens.
    await issue(on.log, on.topics.commands, commands);
    await waitFor("the repetition was read", () => service.stats().duplicates === commands.length);
    for (const { id } of commands) assert.equal(device.seen.get(id), 1);
  });
}

test(
  "an MQTT 5 device gets expiry, response topic, correlation data and content type; the envelope tells a 3.1.1 device the same",
  { skip: noMosquitto },
  async (context) => {
    const t = reversed(context);
    const on = await world(await embedded(t), (await startMosquitto(t)).url);
    const devices = [4, 5].map(
      (protocolVersion) => new TestDevice(t, on.url, { deviceId: `v${protocolVersion}`, protocolVersion: protocolVersion as 4 | 5 }),
    );
    for (const device of devices) await device.connect();
    await startAckIngress(t, on.log, on.topics, on.url);
    await makeCommandService(t, on.log, on.topics, on.url).start();
    const commands = devices.map(({ deviceId }) => newCommand({ deviceId, payload: { on: true }, expiresTs: Date.now() + 60_000 }));
    await issue(on.log, on.topics.commands, commands);
    for (const command of commands) await untilState(on, command, "acknowledged");
    for (const [i, { packets, topic }] of devices.entries()) {
      const envelope = JSON.parse(packets[0].payload.toString());
      const { id, expiresTs } = commands[i];
      assert.deepEqual(envelope, { v: 1, id, name: "blink", payload: { on: true }, attempt: 1, expiresTs, responseTopic: `${topic}/ack` });
    }
    const properties = devices[1].packets[0].properties;
    assert.equal(properties?.correlationData?.toString(), commands[1].id);
    assert.equal(properties?.responseTopic, "t/demo/d/v5/cmd/ack");
    assert.equal(properties?.contentType, "application/json");
    assert.ok((properties?.messageExpiryInterval ?? 0) >= 50 && (properties?.messageExpiryInterval ?? 0) <= 60);
    assert.equal(devices[0].packets[0].properties, undefined);
  },
);

test("raw format: the payload alone; correlation data of an MQTT 5 answer names the command", { skip: noMosquitto }, async (context) => {
  const t = reversed(context);
  const on = await world(await embedded(t), (await startMosquitto(t)).url);
  const device = await new TestDevice(t, on.url, { protocolVersion: 5 }).connect();
  device.answers = false;
  await startAckIngress(t, on.log, on.topics, on.url);
  await makeCommandService(t, on.log, on.topics, on.url, { format: "raw" }).start();
  const command = newCommand({ payload: "ON" });
  await issue(on.log, on.topics.commands, [command]);
  await untilState(on, command, "delivered");
  await waitFor("the command", () => device.packets.length > 0);
  assert.equal(device.packets[0].payload.toString(), "ON");
  const correlationData = device.packets[0].properties?.correlationData;
  await device.publish(`${device.topic}/ack`, "", { qos: 1, properties: { correlationData } });
  await untilState(on, command, "acknowledged");
});

test(
  "a device that was offline gets its commands when it comes back, whether it had a session or not",
  { skip: noMosquitto },
  async (context) => {
    const t = reversed(context);
    const on = await world(await embedded(t), (await startMosquitto(t)).url);
    await startAckIngress(t, on.log, on.topics, on.url);
    const withSession = new TestDevice(t, on.url, { deviceId: "session", protocolVersion: 5 });
    await withSession.connect();
    await withSession.disconnect();
    const never = new TestDevice(t, on.url, { deviceId: "never", protocolVersion: 5 });
    // With a session the broker keeps it: nothing is repeated in the time of this test.
    await makeCommandService(t, on.log, on.topics, on.url, { bounds: { ackRetryMinMs: 600_000, ackRetryMaxMs: 600_000 } }).start();
    const commands = [newCommand({ deviceId: "session" }), newCommand({ deviceId: "never" })];
    await issue(on.log, on.topics.commands, commands);
    await untilState(on, commands[0], "delivered");
    await waitFor("nobody subscribed", async () => (await lastStatus(on, commands[1]))?.reason === "no-subscriber");
    await Promise.all([withSession.connect(), never.connect()]);
    for (const command of commands) await untilState(on, command, "acknowledged");
    assert.equal(withSession.seen.get(commands[0].id), 1);
  },
);

test("what expires is told, and is not sent to a device that comes later", { skip: noMosquitto }, async (context) => {
  const t = reversed(context);
  const on = await world(await embedded(t), (await startMosquitto(t)).url);
  const device = new TestDevice(t, on.url, { protocolVersion: 5 });
  await device.connect();
  await device.disconnect();
  await startAckIngress(t, on.log, on.topics, on.url);
  await makeCommandService(t, on.log, on.topics, on.url).start();
  const brief = newCommand({ expiresTs: Date.now() + 1_000 });
  const lasting = newCommand();
  await issue(on.log, on.topics.commands, [brief, lasting]);
  assert.equal((await untilState(on, brief, "expired")).reason, "no-acknowledgement");
  await waitFor("the broker's clock, which counts in seconds, is past it too", () => Date.now() > brief.expiresTs + 2_500);
  await device.connect();
  await untilState(on, lasting, "acknowledged");
  assert.equal(device.seen.get(brief.id), undefined);
});

test(
  "another tenant's device can neither read a command nor answer it, by any topic or payload",
  { skip: noMosquitto },
  async (context) => {
    const t = reversed(context);
    const on = await world(await embedded(t), (await startMosquitto(t)).url);
    const ingress = await startAckIngress(t, on.log, on.topics, on.url);
    const victim = new TestDevice(t, on.url, { protocolVersion: 5 });
    victim.answers = false;
    await victim.connect();
    const thief = new TestDevice(t, on.url, { tenant: "other", protocolVersion: 5 });
    await thief.connect();
    const service = makeCommandService(t, on.log, on.topics, on.url, { bounds: { ackRetryMinMs: 600_000, ackRetryMaxMs: 600_000 } });
    await service.start();
    const command = newCommand();
    await issue(on.log, on.topics.commands, [command]);
    await untilState(on, command, "delivered");
    const answer = JSON.stringify({ id: command.id, tenant: "demo", deviceId: "device-1", status: "ok" });
    const correlationData = Buffer.from(command.id);
    for (const topic of ["t/other/d/device-1/cmd/ack", "t/demo/d/device-2/cmd/ack"]) {
      await thief.publish(topic, answer);
      await thief.publish(topic, "", { qos: 1, properties: { correlationData } });
    }
    // Not under the filter of answers as far as the ingress is concerned: two levels too many, or an id that holds the separator.
    await thief.publish("t/demo|device-1/d/device-1/cmd/ack", answer);
    await waitFor("all four answers were read", () => service.stats().acks.unknown === 4);
    await waitFor("the fifth is a dead letter", () => ingress.stats().deadLetters["bad-topic"] === 1);
    assert.equal((await lastStatus(on, command))?.state, "delivered");
    assert.equal(thief.packets.length, 0);
    await victim.publish(`${victim.topic}/ack`, JSON.stringify({ id: command.id }));
    await untilState(on, command, "acknowledged");
  },
);

test("two services share the partitions; what one leaves, cleanly, the other goes on with, and nothing twice", async (context) => {
  const t = reversed(context);
  const on = await world(await embedded(t), await aedes(t));
  const device = await new TestDevice(t, on.url, { protocolVersion: 4 }).connect(1);
  device.answers = false;
  const [first, second] = ["s1", "s2"].map((serviceId) =>
    makeCommandService(t, on.log, on.topics, on.url, {
      serviceId,
      protocolVersion: 4,
      bounds: { ackRetryMinMs: 600_000, ackRetryMaxMs: 600_000, deviceWindow: 100 },
    }),
  );
  await first.start();
  await second.start();
  await waitFor("both have some", () => first.stats().lanes > 0 && second.stats().lanes > 0);
  assert.equal(first.stats().lanes + second.stats().lanes, LANES);
  const devices = ["device-1", "device-2", "device-3", "device-4", "device-5", "device-6"];
  const once = { guarantee: "at-most-once", qos: 2 } as const;
  const commands = devices.flatMap((deviceId) => [newCommand({ deviceId }), newCommand({ deviceId, ...once })]);
  await issue(on.log, on.topics.commands, commands);
  await waitFor("all are out", () => first.stats().statuses.delivered + second.stats().statuses.delivered === commands.length);
  const delivered = second.stats().statuses.delivered;
  await first.stop();
  await waitFor("one has all", () => second.stats().lanes === LANES && second.stats().open === commands.length);
  const of = await states(on);
  for (const command of commands) assert.equal(of(command), "accepted sent delivered");
  assert.equal(second.stats().statuses.delivered, delivered);
});

for (const [point, code] of [
  ["write", "transaction-aborted"],
  ["offsets", "stale-generation"],
  ["commit", "fenced"],
  ["after-commit", "unknown-outcome"],
] as const) {
  test(`the log fails (${code} at ${point}): at-most-once arrives at most once, at-least-once arrives, and it goes on`, async (context) => {
    const t = reversed(context);
    const faulty = new FaultyLog(await embedded(t));
    const on = await world(faulty.log, await aedes(t));
    const device = await new TestDevice(t, on.url, { protocolVersion: 4 }).connect(1);
    await startAckIngress(t, on.log, on.topics, on.url, 4);
    const service = makeCommandService(t, on.log, on.topics, on.url, { protocolVersion: 4 });
    await service.start();
    await waitFor("connected", () => service.stats().connected && service.stats().lanes === LANES);
    const once = [];
    for (let i = 0; i < 5; i++) {
      faulty.failNext(point, code);
      const commands = [newCommand(), newCommand({ guarantee: "at-most-once", expiresTs: Date.now() + 1_500 })];
      once.push(commands[1]);
      await issue(on.log, on.topics.commands, commands);
      await untilState(on, commands[0], "acknowledged");
      assert.ok((device.seen.get(commands[0].id) ?? 0) >= 1);
    }
    assert.ok(faulty.injected >= 4);
    assert.equal(service.stats().recoveries, faulty.injected);
    // Sent and committed, and the answer lost: nobody can say, so it is not sent again.
    for (const command of once) {
      const end = await waitFor("it ends", async () => {
        const status = await lastStatus(on, command);
        return status !== undefined && isFinal(status.state) ? status : undefined;
      });
      const arrived = device.seen.get(command.id) ?? 0;
      assert.equal(arrived, end.state === "acknowledged" ? 1 : 0, `${end.state} ${end.reason ?? ""}`);
    }
  });
}

test("records that are no commands are rejected with the reason, or dead letters when they name none", async (context) => {
  const t = reversed(context);
  const on = await world(await embedded(t), await aedes(t));
  const service = makeCommandService(t, on.log, on.topics, on.url, { protocolVersion: 4 });
  await service.start();
  const good = newCommand();
  const wrong = newCommand({ guarantee: "at-most-once", qos: 1 });
  const other = newCommand({ tenant: "victim" });
  const slash = newCommand({ deviceId: "device-1/cmd/ack" });
  await issueValues(on.log, on.topics.commands, [
    { key: "demo|device-1", value: "{" },
    { key: "demo|device-1", value: JSON.stringify({ name: "blink" }) },
    { key: "demo|device-1", value: JSON.stringify(other) },
    { key: "demo|device-1/cmd/ack", value: JSON.stringify(slash) },
    { key: "demo|device-1", value: JSON.stringify(wrong) },
    { key: "demo|device-1", value: JSON.stringify(good) },
  ]);
  const status = await untilState(on, wrong, "rejected");
  assert.equal(status.reason, "invalid");
  assert.match(status.message ?? "", /qos must be 0 or 2/);
  await waitFor("four dead letters", () => service.stats().deadLetters === 4);
  assert.equal(await lastStatus(on, other), undefined);
  await waitFor("the good one", async () => (await lastStatus(on, good))?.state !== undefined);
});
