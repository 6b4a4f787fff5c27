import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { connectAsync, type IPublishPacket } from "mqtt";
import { pino } from "pino";
import { Registry } from "prom-client";
import { startEmbeddedBroker } from "../../../bridge/embedded-broker.ts";
import { OfflineDevices } from "../../../bridge/presence/offline-devices.ts";
import { DELTA_BOUNDS, type DeltaBounds } from "../../../bridge/shadow/delta-book.ts";
import { ShadowService } from "../../../bridge/shadow/shadow-service.ts";
import { TableWriter } from "../../../bridge/table-writer.ts";
import { EmbeddedLog } from "../../../eventlog/embedded/embedded-log.ts";
import type { EventLog, FetchedBatch, LogReader, RecordHeader } from "../../../eventlog/port.ts";
import { partitionForKey } from "../../../eventlog/records/murmur2.ts";
import { tempDir } from "../../support/temp-dir.ts";
import { waitFor } from "../../support/wait-for.ts";
import { wrappedLog } from "../../support/wrapped-log.ts";

const silent = pino({ level: "silent" });

async function openLog(t: TestContext): Promise<EventLog> {
  const log = await EmbeddedLog.open({ dir: tempDir(t, "shadows") });
  t.after(() => log.close());
  const config = { "cleanup.policy": "compact" };
  await log.admin.createTopics(["shadows", "presence"].map((name) => ({ name, partitions: 2, config })));
  return log;
}

/** One at a time: each is a batch of its own. */
async function write(log: EventLog, topic: string, rows: readonly object[], key = "demo|d1"): Promise<void> {
  const writer = await TableWriter.open(log, topic);
  for (const row of rows)
    await new Promise<void>((resolve, reject) =>
      writer.write(key, Buffer.from(JSON.stringify(row)), (error) => (error === undefined ? resolve() : reject(error))),
    );
  await writer.close();
}

function document(version: number): object {
  const delta = { n: version };
  return {
    v: 1,
    tenant: "demo",
    deviceId: "d1",
    version,
    desired: delta,
    reported: {},
    delta,
    metadata: { desired: {}, reported: {} },
    ts: 1,
  };
}

async function startBroker(t: TestContext): Promise<{ url: string; versions: number[] }> {
  const broker = await startEmbeddedBroker({ host: "127.0.0.1", port: 0 });
  t.after(() => broker.close());
  const device = await connectAsync(broker.url, { protocolVersion: 4, timerVariant: "native" });
  t.after(() => device.endAsync(true));
  await device.subscribeAsync("t/demo/d/d1/shadow/delta", { qos: 1 });
  const versions: number[] = [];
  device.on("message", (_topic, payload) => versions.push((JSON.parse(payload.toString()) as { version: number }).version));
  return { url: broker.url, versions };
}

function makeService(
  t: TestContext,
  log: EventLog,
  url: string,
  offline?: OfflineDevices,
  serviceId = "s1",
  bounds: Partial<DeltaBounds> = {},
): ShadowService {
  const service = new ShadowService({
    mqtt: { url, clientId: `${serviceId}-shadow`, topics: ["unused"], qos: 1, protocolVersion: 4 },
    log,
    topic: "shadows",
    groupId: "g",
    serviceId,
    sessionTimeoutMs: 6_000,
    bounds: { ...DELTA_BOUNDS, ...bounds },
    offline,
    logger: silent,
    registry: new Registry(),
  });
  t.after(() => service.stop());
  return service;
}

/** Hands out a batch a poll, and none but the first while `isHeld()`. A poll begins with `onPoll()`. */
function slowReader(inner: LogReader, isHeld: () => boolean, onPoll: () => Promise<void> | void): LogReader {
  const waiting: FetchedBatch[] = [];
  let isFirst = true;
  return {
    assign: (offsets) => inner.assign(offsets),
    seek: (offset) => inner.seek(offset),
    pause: (partitions) => inner.pause(partitions),
    resume: (partitions) => inner.resume(partitions),
    async poll() {
      await onPoll();
      waiting.push(...(await inner.poll(5)));
      const batch = isFirst || !isHeld() ? waiting.shift() : undefined;
      if (batch === undefined) await delay(1);
      else isFirst = false;
      return batch === undefined ? [] : [batch];
    },
    wakeup: () => inner.wakeup(),
    get trouble() {
      return inner.trouble;
    },
    close: () => inner.close(),
  };
}

test("a device that asks for a shadow that is not there is told so, with its version, whatever else is said of that shadow meanwhile", async (t) => {
  const log = await openLog(t);
  const { url, versions } = await startBroker(t);
  const key = Buffer.from("demo|d1");
  const writer = log.plainWriter({});
  t.after(() => writer.close());
  const header = (name: string, value: string) => ({ key: name, value: Buffer.from(value) });
  const to = { topic: "shadows", partition: partitionForKey(key, 0, key.length, 2) };
  const nothing = (...headers: RecordHeader[]): Promise<void> =>
    new Promise((resolve, reject) =>
      writer.send(to, key, null, headers, Date.now(), (error) => (error === undefined ? resolve() : reject(error))),
    );
  await nothing(header("shadow.asked", "true"), header("shadow.version", "7"));
  await nothing(header("shadow.request", "r1"), header("shadow.outcome", "conflict"), header("shadow.version", "7"));
  await makeService(t, log, url).start();
  await waitFor("the answer", () => versions.length > 0);
  assert.deepEqual(versions, [7]);
});

test("nothing is sent before a partition is read to its end: what was superseded is never sent, after no restart", async (t) => {
  const log = await openLog(t);
  await write(log, "shadows", [1, 2, 3].map(document));
  const { url, versions } = await startBroker(t);
  let isHeld = true;
  let polls = 0;
  const slow = wrappedLog(log, {
    reader: (options) =>
      slowReader(
        log.reader(options),
        () => isHeld,
        () => void polls++,
      ),
  });
  const service = makeService(t, slow, url);
  await service.start();
  await waitFor("connected", () => service.stats().connected);
  const enough = polls + 20;
  await waitFor("it had time to send what it has read", () => polls >= enough);
  assert.deepEqual(versions, []);
  isHeld = false;
  await waitFor("the newest is there", () => versions.length > 0);
  await service.stop();
  assert.deepEqual(versions, [3]);
  const next = makeService(t, log, url);
  await next.start();
  await waitFor("it is sent again", () => versions.length > 1);
  await write(log, "shadows", [document(4)]);
  await waitFor("what comes next is sent", () => versions.at(-1) === 4);
  assert.deepEqual(versions, [3, 3, 4]);
});

test("a service that was frozen reads to the end before it repeats anything: another may have gone on meanwhile", async (t) => {
  const log = await openLog(t);
  await write(log, "shadows", [document(1)]);
  const { url, versions } = await startBroker(t);
  let [isHeld, isFrozen, polls, frozenAt] = [false, false, 0, 0];
  const freeze = async (): Promise<void> => {
    polls++;
    if (isFrozen) frozenAt ||= performance.now();
    await waitFor("thawed", () => !isFrozen, { intervalMs: 2 });
  };
  const frozen = wrappedLog(log, { reader: (options) => slowReader(log.reader(options), () => isHeld, freeze) });
  const service = makeService(t, frozen, url, undefined, "s1", { ackRetryMinMs: 1, ackRetryMaxMs: 2, maxAttempts: 1e9 });
  await service.start();
  await waitFor("it repeats what the device does not report", () => versions.length > 3);
  isFrozen = true;
  // Longer than MAX_ROUND_GAP_MS: from there on it must look.
  await waitFor("it is frozen for long", () => frozenAt > 0 && performance.now() - frozenAt > 2_100, { intervalMs: 50 });
  await write(log, "shadows", [document(2)]);
  const before = versions.length;
  isHeld = true;
  isFrozen = false;
  const enough = polls + 20;
  await waitFor("it had time to repeat", () => polls >= enough);
  assert.deepEqual(versions.slice(before), []);
  isHeld = false;
  await waitFor("what is new", () => versions.length > before);
  assert.equal(versions[before], 2);
});

test("a device that presence says is offline is told when any ingress has heard of it again", async (t) => {
  const log = await openLog(t);
  const state = (status: string): object => ({ v: 1, status, reason: "state", sinceTs: 1, lastSeenTs: 1 });
  await write(log, "presence", [state("online"), state("offline")]);
  await write(log, "presence", [state("stale")], "demo|d2");
  const offline = new OfflineDevices("presence", 10, log, silent);
  await offline.start();
  t.after(() => offline.close());
  assert.deepEqual([offline.isOffline("demo|d1"), offline.isOffline("demo|d2")], [true, false]);
  const back: string[] = [];
  offline.onBack((key) => back.push(key));
  const { url, versions } = await startBroker(t);
  const service = makeService(t, log, url, offline);
  await service.start();
  await write(log, "shadows", [1, 2].map(document));
  await waitFor("the delta waits", () => service.stats().pending === 1 && service.stats().connected);
  await write(log, "presence", [state("online")]);
  await waitFor("it is told", () => versions.length > 0);
  assert.deepEqual([versions, back, service.stats().published], [[2], ["demo|d1"], 1]);
  await write(log, "presence", [state("offline")]);
  await waitFor("known", () => offline.isOffline("demo|d1"));
  await write(log, "presence", [state("stale")]);
  await waitFor("back", () => back.length === 2);
});

test("devices whose being offline there is no room for are taken for being there", async (t) => {
  const log = await openLog(t);
  const row = { v: 1, status: "offline", reason: "state", sinceTs: 1, lastSeenTs: 1 };
  for (const key of ["demo|d1", "demo|d2", "demo|d3"]) await write(log, "presence", [row], key);
  const offline = new OfflineDevices("presence", 2, log, silent);
  await offline.start();
  t.after(() => offline.close());
  assert.equal(["demo|d1", "demo|d2", "demo|d3"].filter((key) => offline.isOffline(key)).length, 2);
});

test("a device is told that its report was refused; what it must change is not sent again for that", async (t) => {
  const log = await openLog(t);
  await write(log, "shadows", [document(1)]);
  const { url, versions } = await startBroker(t);
  const device = await connectAsync(url, { protocolVersion: 4, timerVariant: "native" });
  t.after(() => device.endAsync(true));
  await device.subscribeAsync("t/demo/d/+/shadow/rejected", { qos: 1 });
  const told: IPublishPacket[] = [];
  device.on("message", (_topic, _payload, packet) => told.push(packet));
  const service = makeService(t, log, url);
  await service.start();
  await waitFor("the delta", () => versions.length === 1);
  const writer = log.plainWriter({ maxBufferedBytes: 1 << 20 });
  t.after(() => writer.close());
  const refuse = (key: string, value: object | null, ts: number): void => {
    const headers = { "shadow.rejected": "schema", "shadow.rejected.message": "state is missing" };
    const all = Object.entries(headers).map(([name, text]) => ({ key: name, value: Buffer.from(text) }));
    const bytes = Buffer.from(key);
    const to = { topic: "shadows", partition: partitionForKey(bytes, 0, bytes.length, 2) };
    writer.send(to, bytes, value && Buffer.from(JSON.stringify(value)), all, ts, (error) => assert.equal(error, undefined));
  };
  const ts = Date.now();
  refuse("demo|d1", document(1), ts - 60_000);
  for (let i = 0; i < 10; i++) refuse("demo|d1", document(1), ts);
  refuse("demo|without", null, ts);
  await waitFor("both devices are told", () => new Set(told.map(({ topic }) => topic)).size === 2);
  await waitFor("and the rest is counted", () => service.stats().rejectionsUntold === 8);
  assert.equal(service.stats().rejectionsTold, 3);
  await waitFor("all of it came", () => told.length === 3);
  assert.equal(told.filter(({ topic }) => topic === "t/demo/d/d1/shadow/rejected").length, 2);
  const [{ payload, retain, qos }] = told;
  assert.deepEqual([retain, qos], [false, 1]);
  assert.deepEqual(JSON.parse(payload.toString()), { v: 1, code: "schema", message: "state is missing", ts });
  assert.deepEqual([versions, service.stats().pending], [[1], 1]);
});

test("two services share the partitions; what one leaves, the other goes on with, from the log alone", async (t) => {
  const log = await openLog(t);
  const { url, versions } = await startBroker(t);
  const [first, second] = ["s1", "s2"].map((id) => makeService(t, log, url, undefined, id));
  await first.start();
  await waitFor("the first has both", () => first.stats().lanes === 2);
  await second.start();
  await waitFor("each has one", () => first.stats().lanes === 1 && second.stats().lanes === 1);
  await write(log, "shadows", [document(1)]);
  await waitFor("it is told", () => versions.length === 1);
  assert.equal(first.stats().published + second.stats().published, 1);
  const [owner, other] = first.stats().published === 1 ? [first, second] : [second, first];
  await owner.stop();
  await waitFor("the other has both", () => other.stats().lanes === 2);
  await waitFor("and tells the device what it has not reported", () => versions.length === 2);
  await write(log, "shadows", [document(2)]);
  await waitFor("what is new", () => versions.length === 3);
  assert.deepEqual([versions, other.stats().pending], [[1, 1, 2], 1]);
});
