/** Several ingress replicas on one broker and one log: slots move while devices publish, and nothing is lost, doubled or out of order. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { pino } from "pino";
import { Registry } from "prom-client";
import { IngressReplica, type ReplicaOptions } from "../../bridge/scale-out/replica.ts";
import { retireSession } from "../../bridge/scale-out/retire.ts";
import type { ScaleOutSettings } from "../../bridge/scale-out/settings.ts";
import type { EventLog } from "../../eventlog/port.ts";
import type { Cleanup } from "../support/cleanup.ts";
import { startMosquitto } from "../support/mosquitto.ts";
import { need } from "../support/need.ts";
import { waitFor } from "../support/wait-for.ts";
import { openLog, publisher, readTopic } from "./ingress-support.ts";

const skip = await need("mosquitto");
const DEVICES = 12;
/** Without it an acknowledgement waits 40 ms for the next packet. */
const QUICK_BROKER = { config: ["set_tcp_nodelay true"] };
const TOPIC = "t/+/d/+/telemetry";

function replica(t: Cleanup, log: EventLog, url: string, scaleOut: ScaleOutSettings, more: Partial<ReplicaOptions> = {}): IngressReplica {
  const made = new IngressReplica({
    mqtt: { url, clientId: "ingress", topics: [TOPIC], qos: 1, reconnectMinMs: 20, reconnectMaxMs: 200, stopTimeoutMs: 5_000 },
    log,
    topics: { raw: "raw", dlq: "dlq" },
    validation: { maxValueBytes: 100_000 },
    ingressId: "replica",
    logger: pino({ level: process.env.SLUICE_TEST_LOG ?? "silent" }),
    registry: new Registry(),
    scaleOut,
    group: { groupId: "ingress", sessionTimeoutMs: 6_000 },
    ...more,
  });
  t.after(() => made.stop());
  return made;
}

/** Publishes without a pause until told to stop, and then says how many messages each device has sent. */
async function startDevices(t: Cleanup, url: string): Promise<{ sent: () => number; stop: () => Promise<number> }> {
  const client = await publisher(t, url);
  let rounds = 0;
  let going = true;
  const loop = (async () => {
    while (going) {
      const n = rounds++;
      await Promise.all(
        Array.from({ length: DEVICES }, (_, device) => client.publishAsync(`t/demo/d/${device}/telemetry`, `${n}`, { qos: 1 })),
      );
    }
  })();
  return {
    sent: () => rounds,
    stop: async () => {
      going = false;
      await loop;
      return rounds;
    },
  };
}

interface Found {
  readonly lost: number;
  readonly doubled: number;
  readonly outOfOrder: number;
}

async function count(log: EventLog, sentEach: number): Promise<Found> {
  const found = new Map<string, number[]>();
  for (const { key = "", value } of await readTopic(log, "raw")) found.set(key, [...(found.get(key) ?? []), Number(value)]);
  let [lost, doubled, outOfOrder] = [0, 0, 0];
  for (let device = 0; device < DEVICES; device++) {
    const all = found.get(`demo|${device}`) ?? [];
    const first = [...new Set(all)];
    lost += sentEach - first.length;
    doubled += all.length - first.length;
    outOfOrder += first.filter((n, at) => at > 0 && n < first[at - 1]).length;
  }
  return { lost, doubled, outOfOrder };
}

async function drained(log: EventLog, sentEach: number): Promise<Found> {
  return waitFor("everything is in raw", async () => {
    const found = await count(log, sentEach);
    return found.lost === 0 ? found : undefined;
  });
}

const MODES: readonly ScaleOutSettings[] = [
  { mode: "hash", slots: 4 },
  { mode: "filters", filters: [0, 1, 2, 3].map((n) => Array.from({ length: 3 }, (_, i) => `t/+/d/${n * 3 + i}/telemetry`)) },
  { mode: "shared", slots: 4 },
];

for (const scaleOut of MODES) {
  const order = scaleOut.mode === "shared" ? "and none doubled" : "doubled or out of order";
  test(`${scaleOut.mode}: a second replica comes and goes while devices publish: no message is lost, ${order}`, { skip }, async (t) => {
    const { url } = await startMosquitto(t, QUICK_BROKER);
    const log = await openLog(t);
    const first = replica(t, log, url, scaleOut);
    await first.start();
    assert.equal(first.stats().slots, 4);
    const devices = await startDevices(t, url);
    const second = replica(t, log, url, scaleOut);
    await second.start();
    await waitFor("two slots each", () => first.stats().slots === 2 && second.stats().slots === 2 && second.stats().connected);
    const some = second.stats().written;
    await waitFor("the second takes its part", () => second.stats().written > some + 200);
    await second.stop();
    await waitFor("the first has all slots again", () => first.stats().slots === 4 && first.stats().connected);
    const sentEach = await devices.stop();
    const { doubled, outOfOrder } = await drained(log, sentEach);
    assert.equal(doubled, 0, "what was handed over had been acknowledged");
    if (scaleOut.mode !== "shared") assert.equal(outOfOrder, 0);
    assert.equal(first.stats().slotsLost + second.stats().slotsLost, 0);
    t.diagnostic(`${sentEach * DEVICES} messages, ${outOfOrder} out of order`);
  });
}

test("replicas with numbers have the slots of theirs, without a group", { skip }, async (t) => {
  const { url } = await startMosquitto(t, QUICK_BROKER);
  const log = await openLog(t);
  const replicas = [0, 1].map((number) => replica(t, log, url, { mode: "hash", slots: 3, replica: number, replicas: 2 }));
  await Promise.all(replicas.map((one) => one.start()));
  assert.deepEqual(
    replicas.map((one) => one.stats().slots),
    [2, 1],
  );
  const devices = await startDevices(t, url);
  await waitFor("some rounds", () => devices.sent() > 20);
  const sentEach = await devices.stop();
  assert.deepEqual(await drained(log, sentEach), { lost: 0, doubled: 0, outOfOrder: 0 });
});

test("a change from a shared subscription to hash leaves no subscription behind: nothing comes twice", { skip }, async (t) => {
  const { url } = await startMosquitto(t, QUICK_BROKER);
  const log = await openLog(t);
  const before = replica(t, log, url, { mode: "shared", slots: 2 });
  await before.start();
  await before.stop();
  const after = replica(t, log, url, { mode: "hash", slots: 2 });
  await after.start();
  const devices = await startDevices(t, url);
  await waitFor("some rounds", () => devices.sent() > 50);
  const sentEach = await devices.stop();
  await drained(log, sentEach);
  await waitFor("each message came once to each slot", () => {
    const { written, foreign } = after.stats();
    return written + foreign === 2 * sentEach * DEVICES;
  });
});

test("presence needs all of a device's messages in one place: refused with a shared subscription", { skip }, async (t) => {
  const log = await openLog(t);
  const presence = { topic: "presence", staleAfterMs: 1000, offlineHoldMs: 0, reconnectHoldMs: 0, maxDevices: 10 };
  assert.throws(() => replica(t, log, "mqtt://127.0.0.1:1", { mode: "shared", slots: 2 }, { presence }), { code: "bad-settings" });
});

test("a session that is no more in use is emptied into raw and ended", { skip }, async (t) => {
  const mosquitto = await startMosquitto(t, QUICK_BROKER);
  const { url } = mosquitto;
  const log = await openLog(t);
  const before = replica(t, log, url, { mode: "shared", slots: 1 });
  await before.start();
  await before.stop();
  const client = await publisher(t, url);
  const send = (from: number): Promise<unknown> =>
    Promise.all(Array.from({ length: 500 }, (_, n) => client.publishAsync("t/demo/d/0/telemetry", String(from + n), { qos: 1 })));
  await send(0);
  const mqtt = { url, clientId: "ingress-0", topics: [], formerTopics: [`$share/ingress/${TOPIC}`], qos: 1 as const };
  const options = { mqtt, log, topics: { raw: "raw", dlq: "dlq" }, validation: { maxValueBytes: 1_000 }, ingressId: "retired" };
  const logger = pino({ level: "silent" });
  const retired = await retireSession({ ...options, logger }, AbortSignal.timeout(20_000), 300);
  assert.deepEqual(retired, { messages: 500, written: 500 });
  await send(500);
  const again = await publisher(t, url, { clientId: "ingress-0", clean: false, protocolVersion: 5 });
  await again.subscribeAsync("end");
  assert.equal((await readTopic(log, "raw")).length, 500, "nothing was kept for it any more");
});
