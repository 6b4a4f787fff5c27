/** Several ingresses that keep presence in one topic: whose device is whose. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { encodePresence, stateTopic } from "../../../bridge/presence/formats.ts";
import type { PresenceClock, PresenceView } from "../../../bridge/presence/presence-machine.ts";
import { Presence, type PresenceFollower } from "../../../bridge/presence/presence.ts";
import type { Route } from "../../../bridge/route-cache.ts";
import { EmbeddedLog } from "../../../eventlog/embedded/embedded-log.ts";
import { readTopic } from "../../support/telemetry.ts";
import { tempDir } from "../../support/temp-dir.ts";
import { waitFor } from "../../support/wait-for.ts";
import { SILENT } from "../edge/support.ts";
import { recordSet } from "../../contract/eventlog-helpers.ts";

const SETTINGS = { topic: "presence", staleAfterMs: 60_000, offlineHoldMs: 0, reconnectHoldMs: 0, maxDevices: 100 };
const OFFLINE = Buffer.from("offline");

class TestClock implements PresenceClock {
  nowMs = 1_000_000;
  epochMs(): number {
    return this.nowMs;
  }
  monotonicMs(): number {
    return this.nowMs;
  }
}

async function openLog(t: TestContext): Promise<EmbeddedLog> {
  const log = await EmbeddedLog.open({ dir: tempDir(t, "presence") });
  t.after(() => log.close());
  await log.admin.createTopics([{ name: "presence", partitions: 1, config: { "cleanup.policy": "compact" } }]);
  return log;
}

async function follow(t: TestContext, log: EmbeddedLog, follower: PresenceFollower): Promise<Presence> {
  const presence = new Presence(SETTINGS, log, SILENT, follower);
  await presence.start();
  t.after(() => presence.close());
  presence.machine.brokerBack();
  return presence;
}

/** Of `acme`. */
function device(id: string): Route {
  return { deviceKey: `acme|${id}` } as Route;
}

async function history(log: EmbeddedLog, id: string): Promise<string> {
  const rows = (await readTopic(log, "presence")).map(
    ({ value }) => JSON.parse(String(value)) as { deviceId: string; status: string; ingress?: string },
  );
  return rows
    .filter(({ deviceId }) => deviceId === id)
    .map(({ status, ingress = "?" }) => `${status} ${ingress}`)
    .join(", ");
}

const comes = (log: EmbeddedLog, id: string, wanted: string): Promise<unknown> =>
  waitFor(wanted, async () => (await history(log, id)) === wanted);

test("an ingress that starts goes on with the devices that it followed, and says nothing of another ingress' devices", async (t) => {
  const log = await openLog(t);
  const [first, second] = [await follow(t, log, { ingress: "one" }), await follow(t, log, { ingress: "two" })];
  first.seen(device("a"));
  second.seen(device("b"));
  await comes(log, "a", "online one");
  await comes(log, "b", "online two");
  await first.close();
  const clock = new TestClock();
  const again = await follow(t, log, { ingress: "one", clock });
  assert.deepEqual([again.machine.view("acme|a")?.status, again.machine.view("acme|b")], ["online", undefined]);
  clock.nowMs += SETTINGS.staleAfterMs;
  await comes(log, "a", "online one, stale one");
  assert.equal(await history(log, "b"), "online two");
});

test("what was written before records named their ingress is restored as before", async (t) => {
  const log = await openLog(t);
  const view: PresenceView = { status: "online", reason: "state", sinceTs: 5, lastSeenTs: 4, retained: false };
  const writer = log.plainWriter({});
  await writer.write(recordSet("presence", [{ key: "acme|a", value: encodePresence("acme|a", view)?.toString() ?? "" }]));
  await writer.close();
  assert.deepEqual((await follow(t, log, { ingress: "one" })).machine.view("acme|a"), view);
});

test("replicas of one ingress have one name: a slot that moves finds its devices", async (t) => {
  const log = await openLog(t);
  const owns = (topic: string): boolean => topic === stateTopic("acme", "a");
  const first = await follow(t, log, { ingress: "one", owns });
  first.seen(device("a"));
  await comes(log, "a", "online one");
  await first.close();
  const taken = await follow(t, log, { ingress: "one", owns });
  const other = await follow(t, log, { ingress: "one", owns: (topic) => !owns(topic) });
  assert.deepEqual([taken.machine.size, other.machine.size], [1, 0]);
});

test("a device that moves is the other ingress': neither the former's silence nor the end of the connection that it left is told", async (t) => {
  const log = await openLog(t);
  const clock = new TestClock();
  const [first, second] = [await follow(t, log, { ingress: "one", clock }), await follow(t, log, { ingress: "two", clock })];
  first.seen(device("a"));
  await comes(log, "a", "online one");
  second.seen(device("a"));
  await waitFor("the first lets it go", () => first.machine.size === 0);
  first.state(device("a"), OFFLINE, false);
  assert.equal(first.machine.size, 0);
  clock.nowMs += 10_000;
  first.seen(device("a"));
  await waitFor("the second lets it go", () => second.machine.size === 0);
  first.state(device("a"), OFFLINE, false);
  await comes(log, "a", "online one, online two, online one, offline one");
});

test("two ingresses that both hear a device do not write a record for each message", async (t) => {
  const log = await openLog(t);
  const clock = new TestClock();
  const [first, second] = [await follow(t, log, { ingress: "one", clock }), await follow(t, log, { ingress: "two", clock })];
  first.seen(device("a"));
  await comes(log, "a", "online one");
  second.seen(device("a"));
  await waitFor("the first lets it go", () => first.machine.size === 0);
  for (let i = 0; i < 20; i++) for (const ingress of [first, second]) ingress.seen(device("a"));
  clock.nowMs += 1_999;
  for (const ingress of [first, second]) ingress.seen(device("a"));
  assert.equal(first.machine.size, 0);
  clock.nowMs += 1;
  for (const ingress of [first, second]) ingress.seen(device("a"));
  await comes(log, "a", "online one, online two, online one");
  await waitFor("the second lets it go", () => second.machine.size === 0);
});
