/** Presence with a real Mosquitto: wills, retained states, restarts of the broker and of the ingress. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { Registry } from "prom-client";
import type { MqttClient } from "mqtt";
import type { Ingress } from "../../bridge/ingress.ts";
import type { EventLog } from "../../eventlog/port.ts";
import { startMosquitto } from "../support/mosquitto.ts";
import { need } from "../support/need.ts";
import { waitFor } from "../support/wait-for.ts";
import { makeIngress } from "../unit/bridge/ingress-fixture.ts";
import { openLog, PARTITIONS, publisher, readTopic } from "./ingress-support.ts";

const skip = await need("mosquitto");
const PRESENCE = { topic: "presence", staleAfterMs: 600_000, offlineHoldMs: 1_000, reconnectHoldMs: 3_000, maxDevices: 1000 };

async function withTopic(t: TestContext): Promise<EventLog> {
  const log = await openLog(t);
  await log.admin.createTopics([{ name: "presence", partitions: PARTITIONS, config: { "cleanup.policy": "compact" } }]);
  return log;
}

async function start(t: TestContext, log: EventLog, url: string): Promise<Ingress> {
  const ingress = makeIngress(t, log, { url, qos: 1 }, new Registry(), { presence: PRESENCE });
  await ingress.start();
  return ingress;
}

/** A device with a retained state and a Last Will, as docs/admission.md advises. */
async function device(t: TestContext, url: string, id: string): Promise<MqttClient> {
  const topic = `t/acme/d/${id}/state`;
  const will = { topic, payload: Buffer.from('{"status":"offline","reason":"will"}'), qos: 1, retain: true } as const;
  const client = await publisher(t, url, { will });
  const birth = (): void => void client.publishAsync(topic, "online", { qos: 1, retain: true }).catch(() => undefined);
  client.on("connect", birth);
  birth();
  return client;
}

async function history(log: EventLog, id: string): Promise<string[]> {
  const records = await readTopic(log, "presence");
  return records
    .filter(({ key }) => key === `acme|${id}`)
    .map(({ value }) => JSON.parse(value) as { status: string; reason: string; retained?: true })
    .map(({ status, reason, retained }) => `${status} ${reason}${retained ? " retained" : ""}`);
}

const comes = (log: EventLog, id: string, wanted: string[]): Promise<unknown> =>
  waitFor(`${id}: ${wanted.join(", ")}`, async () => (await history(log, id)).join() === wanted.join(), { deadlineMs: 15_000 });

test(
  "telemetry and state make a device online; when its connection dies its Last Will makes it offline; states are no telemetry",
  { skip },
  async (t) => {
    const { url } = await startMosquitto(t);
    const log = await withTopic(t);
    const ingress = await start(t, log, url);
    const a = await device(t, url, "a");
    const b = await publisher(t, url);
    await b.publishAsync("t/acme/d/b/telemetry", "{}", { qos: 1 });
    await comes(log, "a", ["online state"]);
    await comes(log, "b", ["online telemetry"]);
    a.options.reconnectPeriod = 0;
    a.stream.destroy();
    await comes(log, "a", ["online state", "offline will"]);
    await b.publishAsync("t/acme/d/b/state", "{", { qos: 1 });
    await waitFor("counted", () => ingress.stats().presence.unreadable === 1);
    assert.deepEqual([(await readTopic(log, "raw")).length, (await readTopic(log, "dlq")).length], [1, 0]);
    await waitFor("all acknowledged", () => ingress.stats().acked === 4);
  },
);

test("a restart of the broker does not flap the fleet, and who does not come back is offline", { skip }, async (t) => {
  const mosquitto = await startMosquitto(t);
  const log = await withTopic(t);
  const ingress = await start(t, log, mosquitto.url);
  const fleet = await Promise.all(["a", "b", "c", "d"].map((id) => device(t, mosquitto.url, id)));
  for (const id of ["a", "b", "c", "d"]) await comes(log, id, ["online state"]);
  await mosquitto.stop();
  await waitFor("the ingress noticed", () => !ingress.stats().connected);
  fleet[3].options.reconnectPeriod = 0;
  await fleet[3].endAsync(true);
  await mosquitto.restart();
  await waitFor("the ingress is back", () => ingress.stats().connected);
  // Its will, said by hand: Mosquitto may have had no time for it.
  const other = await publisher(t, mosquitto.url);
  await other.publishAsync("t/acme/d/d/state", '{"status":"offline","reason":"will"}', { qos: 1, retain: true });
  await comes(log, "d", ["online state", "offline will"]);
  // That came after the hold that the others had too.
  for (const id of ["a", "b", "c"]) assert.deepEqual(await history(log, id), ["online state"], id);
});

test("stop and start of the ingress do not flap, and what happened meanwhile is told by the retained states", { skip }, async (t) => {
  const { url } = await startMosquitto(t);
  const log = await withTopic(t);
  const first = await start(t, log, url);
  await device(t, url, "a");
  const b = await device(t, url, "b");
  for (const id of ["a", "b"]) await comes(log, id, ["online state"]);
  // The will comes while the first ingress lives and is still held when it stops.
  b.options.reconnectPeriod = 0;
  const acked = first.stats().acked;
  b.stream.destroy();
  await waitFor("the will is taken", () => first.stats().acked > acked);
  await first.stop();
  assert.deepEqual(await history(log, "b"), ["online state"]);
  const c = await device(t, url, "c");
  await c.publishAsync("t/acme/d/c/state", "online", { qos: 1, retain: true });
  await start(t, log, url);
  await comes(log, "b", ["online state", "offline will retained"]);
  assert.equal((await history(log, "c"))[0].split(" ")[0], "online");
  assert.deepEqual(await history(log, "a"), ["online state"]);
});
