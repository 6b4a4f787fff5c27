/** The ingress between real brokers and a real log. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { startEmbeddedBroker } from "../../bridge/embedded-broker.ts";
import { generateFleet } from "../../cli/simulate/fleet.ts";
import { openMqttSink } from "../../cli/simulate/mqtt-sink.ts";
import { publishEvents } from "../../cli/simulate/publisher.ts";
import { startMosquitto } from "../support/mosquitto.ts";
import { need } from "../support/need.ts";
import { waitFor } from "../support/wait-for.ts";
import { FakeWriter, fakeLog } from "../unit/bridge/fake-writer.ts";
import { makeIngress } from "../unit/bridge/ingress-fixture.ts";
import { openLog, publisher, readTopic, sorted } from "./ingress-support.ts";

const skip = await need("mosquitto");

const BROKERS = {
  aedes: async (t: TestContext) => {
    const broker = await startEmbeddedBroker({ host: "127.0.0.1", port: 0 });
    t.after(() => broker.close());
    return broker.url;
  },
  mosquitto: async (t: TestContext) => (await startMosquitto(t)).url,
};

for (const { broker, protocolVersion } of [
  { broker: "aedes", protocolVersion: 4 },
  { broker: "mosquitto", protocolVersion: 4 },
  { broker: "mosquitto", protocolVersion: 5 },
] as const) {
  for (const qos of [0, 1, 2] as const) {
    test(
      `${broker}, MQTT ${protocolVersion === 4 ? "3.1.1" : "5"}, QoS ${qos}: a fleet's messages are in the raw topic, each device's in order`,
      { skip: broker === "mosquitto" && skip },
      async (t) => {
        const url = await BROKERS[broker](t);
        const log = await openLog(t);
        const ingress = makeIngress(t, log, { url, protocolVersion, qos });
        await ingress.start();
        const events = [...generateFleet({ devices: 20, count: 2000, duplicates: 0.1, reorder: 0.1 }).events()];
        const sink = await openMqttSink({ url, qos, maxInFlight: 200 });
        t.after(() => sink.close());
        await publishEvents(events, sink, { paced: false });
        await waitFor("all written", () => ingress.stats().written >= events.length, { deadlineMs: 20_000 });
        await waitFor("all acknowledged", () => qos === 0 || ingress.stats().acked >= events.length);
        const raw = await readTopic(log, "raw");
        assert.equal(raw.length, events.length);
        const byDevice = (values: { key?: string; value: string }[]): [string, string[]][] =>
          Object.entries(Object.groupBy(values, ({ key }) => key ?? ""))
            .map(([key, group]) => [key, (group ?? []).map(({ value }) => value)] as [string, string[]])
            .sort();
        assert.deepEqual(
          byDevice(raw),
          byDevice(events.map((event) => ({ key: `${event.tenant}|${event.deviceId}`, value: event.bytes.toString() }))),
        );
        assert.ok(raw.every(({ headers }) => headers["mqtt.qos"] === String(qos) && headers["ingress.id"] === "ingress-test"));
      },
    );
  }
}

test("a poison message mid-stream goes to the dead letters, and the stream goes on", { skip }, async (t) => {
  const { url } = await startMosquitto(t);
  const log = await openLog(t);
  const ingress = makeIngress(t, log, { url, topics: ["t/#"] });
  await ingress.start();
  const client = await publisher(t, url);
  const big = Buffer.alloc(5_000_000, "x");
  await client.publishAsync("t/demo/d/a/telemetry", "before", { qos: 1 });
  await client.publishAsync("t/demo/d/a/telemetry", big, { qos: 1 });
  await client.publishAsync("t/demo/d/a|b/telemetry", Buffer.from([0, 1, 255]), { qos: 2 });
  await client.publishAsync("t/demo/d/a/telemetry", "", { qos: 1 });
  await client.publishAsync("t/demo/d/a/telemetry", "after", { qos: 1 });
  await waitFor("five acknowledged", () => ingress.stats().acked === 5);
  assert.deepEqual(
    (await readTopic(log, "raw")).map(({ value }) => value),
    ["before", "", "after"],
  );
  const letters = await readTopic(log, "dlq");
  const tooLarge = letters.find(({ headers }) => headers["dlq.reason"] === "too-large");
  assert.deepEqual([tooLarge?.value.length, tooLarge?.headers["dlq.length"], tooLarge?.key], [65_536, "5000000", "demo|a"]);
  assert.ok(letters.some(({ headers }) => headers["dlq.reason"] === "bad-topic"));
  assert.equal(letters.length, 2);
  assert.equal(ingress.stats().reconnects, 0, "nothing is retried for ever");
});

for (const protocolVersion of [4, 5] as const) {
  test(
    `a frozen log, MQTT ${protocolVersion === 4 ? "3.1.1" : "5"}: the broker keeps what is not durable, the window bounds memory, nothing is lost after`,
    { skip },
    async (t) => {
      const { url } = await startMosquitto(t);
      const writer = new FakeWriter();
      const ingress = makeIngress(t, fakeLog(writer), { url, protocolVersion, windowMessages: 50 });
      await ingress.start();
      const client = await publisher(t, url);
      const sent = Array.from({ length: 3000 }, (_, i) => `m${i}`);
      await Promise.all(sent.map((payload) => client.publishAsync("t/demo/d/a/telemetry", payload, { qos: 1 })));
      await waitFor("the window is full", () => writer.pending.size === 50);
      // The broker has all 3,000 and a round trip to it is over: more would have come by now.
      await client.publishAsync("elsewhere", "x", { qos: 1 });
      assert.deepEqual([writer.sent.length, ingress.stats().acked, ingress.stats().inFlight], [50, 0, 50]);
      writer.auto = true;
      writer.release();
      await waitFor("all acknowledged", () => ingress.stats().acked === 3000);
      assert.deepEqual(
        writer.sent.map(({ value }) => value.toString()),
        sent,
      );
    },
  );
}

test("the broker restarts with its persistence under load: what it acknowledged to the publisher arrives", { skip }, async (t) => {
  const mosquitto = await startMosquitto(t);
  const log = await openLog(t);
  const ingress = makeIngress(t, log, { url: mosquitto.url });
  await ingress.start();
  const client = await publisher(t, mosquitto.url, { clean: false, clientId: "pub" });
  const acknowledged = new Set<string>();
  const publish = (i: number): Promise<void> =>
    client.publishAsync("t/demo/d/a/telemetry", `m${i}`, { qos: 1 }).then(() => void acknowledged.add(`m${i}`));
  const first = Array.from({ length: 500 }, (_, i) => publish(i));
  await waitFor("the stream runs", () => ingress.stats().written > 50);
  await mosquitto.stop();
  const second = Array.from({ length: 500 }, (_, i) => publish(500 + i));
  await mosquitto.restart();
  await Promise.all([...first, ...second]);
  await waitFor("all in the raw topic", async () => new Set((await readTopic(log, "raw")).map(({ value }) => value)).size === 1000, {
    intervalMs: 100,
  });
  assert.deepEqual(sorted(new Set((await readTopic(log, "raw")).map(({ value }) => value))), sorted(acknowledged));
  assert.ok(ingress.stats().reconnects >= 1);
});

test("the broker comes back without our session: the ingress subscribes again", { skip }, async (t) => {
  const mosquitto = await startMosquitto(t, { persistence: false });
  const log = await openLog(t);
  const ingress = makeIngress(t, log, { url: mosquitto.url });
  await ingress.start();
  await mosquitto.kill();
  await waitFor("connection lost", () => !ingress.stats().connected);
  await mosquitto.restart();
  const client = await publisher(t, mosquitto.url);
  await waitFor("telemetry flows again", async () => {
    await client.publishAsync("t/demo/d/a/telemetry", "again", { qos: 1 });
    return ingress.stats().written > 0;
  });
});

test("the first connect fails: start() waits for the broker", { skip }, async (t) => {
  const mosquitto = await startMosquitto(t);
  await mosquitto.stop();
  const log = await openLog(t);
  const ingress = makeIngress(t, log, { url: mosquitto.url });
  let started = false;
  const starting = ingress.start().then(() => (started = true));
  await waitFor("a few attempts", () => ingress.stats().reconnects >= 2);
  assert.equal(started, false);
  await mosquitto.restart();
  await starting;
});

test("stopped and started again, it goes on where it was: what came in between is delivered from its session", { skip }, async (t) => {
  const { url } = await startMosquitto(t);
  const log = await openLog(t);
  const first = makeIngress(t, log, { url });
  await first.start();
  const client = await publisher(t, url);
  await client.publishAsync("t/demo/d/a/telemetry", "one", { qos: 1 });
  await waitFor("the first", () => first.stats().acked === 1);
  await first.stop();
  await client.publishAsync("t/demo/d/a/telemetry", "two", { qos: 2 });
  const second = makeIngress(t, log, { url });
  await second.start();
  await waitFor("the second", () => second.stats().acked === 1);
  assert.deepEqual(
    (await readTopic(log, "raw")).map(({ value }) => value),
    ["one", "two"],
  );
});
