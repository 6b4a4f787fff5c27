/** Presence of devices behind a gateway with a Kafka uplink; any log of the port will do. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { GatewayPresence } from "../../../bridge/edge/gateway-presence.ts";
import { KafkaTarget } from "../../../bridge/edge/kafka-target.ts";
import type { StoredMessage } from "../../../bridge/edge/message.ts";
import { Presence } from "../../../bridge/presence/presence.ts";
import { EmbeddedLog } from "../../../eventlog/embedded/embedded-log.ts";
import { readTopic } from "../../support/telemetry.ts";
import { tempDir } from "../../support/temp-dir.ts";
import { waitFor } from "../../support/wait-for.ts";
import { wrappedLog } from "../../support/wrapped-log.ts";
import { SILENT, message, offer, openStore, readAll } from "./support.ts";

const SETTINGS = { topic: "presence", staleAfterMs: 3_600_000, offlineHoldMs: 0, reconnectHoldMs: 0, maxDevices: 100 };

async function openLog(t: TestContext): Promise<EmbeddedLog> {
  const log = await EmbeddedLog.open({ dir: tempDir(t, "upstream") });
  t.after(() => log.close());
  await log.admin.createTopics(["raw", "dlq"].map((name) => ({ name, partitions: 2, config: {} })));
  await log.admin.createTopics([{ name: "presence", partitions: 2, config: { "cleanup.policy": "compact" } }]);
  return log;
}

/** A gateway's uplink with presence, connected. */
async function uplink(t: TestContext, log: EmbeddedLog, gatewayId: string, changes: Partial<typeof SETTINGS> = {}) {
  const presence = new GatewayPresence({ ...SETTINGS, ...changes }, log, gatewayId, SILENT);
  // One log for several of them: closed after the last.
  const shared = wrappedLog(log, { close: () => Promise.resolve() });
  const target = new KafkaTarget({
    log: shared,
    topics: { raw: "raw", dlq: "dlq" },
    admission: { templates: ["t/{tenant}/d/{deviceId}/telemetry"], tenants: [] },
    gatewayId,
    presence,
  });
  t.after(() => target.close());
  await target.connect();
  return { target, presence };
}

/** What devices sent, a second apart from `from` on: `a` is telemetry of that device, `a=offline` its state. */
async function stored(t: TestContext, from: number, ...texts: string[]): Promise<StoredMessage[]> {
  const opened = await openStore(t);
  opened.now = from;
  for (const text of texts) {
    const [device, state] = text.split("=");
    const sent = message(device, 1);
    const stateMessage = { ...sent, topic: `t/demo/d/${device}/state`, payload: Buffer.from(state ?? "") };
    await offer(opened.store, state === undefined ? sent : stateMessage);
    opened.now += 1_000;
  }
  return readAll(opened.store);
}

interface Row {
  readonly deviceId: string;
  readonly status: string;
  readonly sinceTs: number;
  readonly lastSeenTs: number;
  readonly gateway?: string;
}

async function history(log: EmbeddedLog, device: string): Promise<Row[]> {
  const rows = (await readTopic(log, "presence")).map(({ value }) => JSON.parse(String(value)) as Row);
  return rows.filter(({ deviceId }) => deviceId === device);
}

const statuses = async (log: EmbeddedLog, device: string): Promise<string> =>
  (await history(log, device)).map(({ status, gateway }) => `${status} ${gateway ?? "ingress"}`).join(", ");

test("after an outage each change has the time at which the gateway heard of it, and what was taken back meanwhile was never so", async (t) => {
  const log = await openLog(t);
  const { target, presence } = await uplink(t, log, "g1");
  const from = Date.UTC(2026, 0, 1);
  const backlog = await stored(t, from, "a", "b", "a=offline", "b=offline", "b", "c=online", "d=offline", "e=?");
  assert.deepEqual(await target.send(backlog), { taken: 8, refused: [] });
  target.caughtUp();
  await waitFor("the offlines", async () => (await statuses(log, "d")) === "offline g1");
  const [online, offline] = await history(log, "a");
  assert.deepEqual([online.status, online.sinceTs, online.lastSeenTs], ["online", from, from]);
  assert.deepEqual([offline.status, offline.sinceTs, offline.lastSeenTs], ["offline", from + 2_000, from]);
  assert.equal(await statuses(log, "b"), "online g1");
  assert.equal((await history(log, "c"))[0].sinceTs, from + 5_000);
  assert.deepEqual(presence.stats(), { followed: 4, overflow: 0, unreadable: 1 });
  assert.equal((await readTopic(log, "raw")).length, 3, "states are no telemetry");
});

test("while the uplink is behind nobody is silent and no offline counts; from when it has caught up, both do", async (t) => {
  const log = await openLog(t);
  const { target, presence } = await uplink(t, log, "g1", { staleAfterMs: 1_000 });
  await target.send(await stored(t, Date.now(), "a", "b", "c"));
  presence.fellBehind();
  await target.send(await stored(t, Date.UTC(2026, 0, 1), "a", "c=offline"));
  // A moment in which both would have been told.
  const until = performance.now() + 2_500;
  await waitFor("time goes by", () => performance.now() > until);
  assert.deepEqual([await statuses(log, "a"), await statuses(log, "c")], ["online g1", "online g1"]);
  await target.send(await stored(t, Date.now(), "b"));
  await waitFor("it is offline", async () => (await statuses(log, "c")) === "online g1, offline g1");
  await waitFor("it is stale", async () => (await statuses(log, "a")) === "online g1, stale g1", { deadlineMs: 20_000 });
});

test("a gateway that starts again goes on where it was, writes nothing anew, and says nothing of others' devices", async (t) => {
  const log = await openLog(t);
  const first = await uplink(t, log, "g1");
  await first.target.send(await stored(t, Date.now(), "a", "b"));
  await waitFor("both are written", async () => (await readTopic(log, "presence")).length === 2);
  await first.target.close();

  const ingress = new Presence({ ...SETTINGS, staleAfterMs: 1 }, log, SILENT);
  t.after(() => ingress.close());
  await ingress.start();
  ingress.machine.brokerBack();
  const other = await uplink(t, log, "g2", { staleAfterMs: 1 });
  const again = await uplink(t, log, "g1", { staleAfterMs: 1 });
  assert.deepEqual([again.presence.stats().followed, other.presence.stats().followed, ingress.machine.size], [2, 0, 0]);
  other.target.caughtUp();
  await again.target.send(await stored(t, Date.now(), "b"));
  await waitFor("silence is noticed", async () => (await statuses(log, "a")) === "online g1, stale g1", { deadlineMs: 20_000 });
  assert.match(await statuses(log, "b"), /^online g1(, stale g1)?$/);
});

test("a device that moves to another gateway, or to a broker, is that one's: the former says no more of it, and again when it is back", async (t) => {
  const log = await openLog(t);
  const [one, two] = [await uplink(t, log, "g1"), await uplink(t, log, "g2")];
  const ingress = new Presence(SETTINGS, log, SILENT);
  t.after(() => ingress.close());
  await ingress.start();
  await one.target.send(await stored(t, Date.now(), "a"));
  await waitFor("the first follows it", async () => (await statuses(log, "a")) === "online g1");
  await two.target.send(await stored(t, Date.now(), "a"));
  await waitFor("the first has let it go", () => one.presence.stats().followed === 0);
  ingress.machine.seen("demo|a");
  await waitFor("so has the second", () => two.presence.stats().followed === 0);
  await one.target.send(await stored(t, Date.now(), "a"));
  await waitFor("so has the ingress", () => ingress.machine.size === 0);
  assert.equal(await statuses(log, "a"), "online g1, online g2, online ingress, online g1");
  assert.equal(one.presence.stats().followed, 1);
});
