/** The registry of known devices against a real (embedded) log, asked as the ingress asks it. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { pino } from "pino";
import { DeviceRegistry, type RegistrySettings } from "../../bridge/registry/device-registry.ts";
import { RouteCache } from "../../bridge/route-cache.ts";
import type { EventLog } from "../../eventlog/port.ts";
import { waitFor } from "../support/wait-for.ts";
import { openLog, PARTITIONS, readTopic } from "./ingress-support.ts";

const routes = new RouteCache({ raw: "raw", rawPartitions: 1, dlq: "dlq", dlqPartitions: 1 }, 1000);
const ask = (registry: DeviceRegistry, device: string): string => registry.verdict(routes.route(`t/acme/d/${device}/telemetry`));

async function withTopic(t: TestContext): Promise<EventLog> {
  const log = await openLog(t);
  await log.admin.createTopics([{ name: "registry", partitions: PARTITIONS, config: { "cleanup.policy": "compact" } }]);
  return log;
}

async function write(log: EventLog, device: string, value: string | null): Promise<void> {
  const writer = log.plainWriter({});
  await new Promise<void>((resolve, reject) => {
    writer.send(
      { topic: "registry", partition: 0 },
      Buffer.from(`acme|${device}`),
      value === null ? null : Buffer.from(value),
      undefined,
      1,
      (error) => (error === undefined ? resolve() : reject(error)),
    );
  });
  await writer.close();
}

async function open(t: TestContext, log: EventLog, settings: Partial<RegistrySettings>): Promise<DeviceRegistry> {
  const registry = new DeviceRegistry(
    { mode: "closed", topic: "registry", unknown: "shed", denied: "drop", maxDevices: 100, ...settings },
    log,
    pino({ level: "silent" }),
  );
  t.after(() => registry.close());
  await registry.start();
  return registry;
}

test("closed: only who is allowed gets in; what changes in the topic holds at once, and what cannot be read changes nothing", async (t) => {
  const log = await withTopic(t);
  await write(log, "a", '{"v":1,"status":"allowed","profile":"oven"}');
  await write(log, "b", '{"v":1,"status":"denied"}');
  const registry = await open(t, log, {});
  assert.deepEqual([ask(registry, "a"), ask(registry, "b"), ask(registry, "c")], ["pass", "drop", "shed"]);
  assert.equal(registry.reason, "unknown-device");
  await write(log, "a", "{");
  await write(log, "a", '{"status":"perhaps"}');
  await write(log, "c", '{"v":1,"status":"allowed"}');
  await waitFor("c is allowed", () => ask(registry, "c") === "pass");
  assert.equal(ask(registry, "a"), "pass");
  await write(log, "a", null);
  await waitFor("a is removed", () => ask(registry, "a") === "shed");
});

test("open: everybody but the denied", async (t) => {
  const log = await withTopic(t);
  await write(log, "b", '{"v":1,"status":"denied"}');
  const registry = await open(t, log, { mode: "open", denied: "shed" });
  assert.deepEqual([ask(registry, "a"), ask(registry, "b")], ["pass", "shed"]);
  assert.equal(registry.reason, "denied-device");
});

test("auto-register: the first message registers, once, and the next ingress knows the device", async (t) => {
  const log = await withTopic(t);
  const registry = await open(t, log, { mode: "auto-register" });
  for (let i = 0; i < 10; i++) assert.equal(ask(registry, "a"), "pass");
  await waitFor("it is written", async () => (await readTopic(log, "registry")).length === 1);
  const [{ key, value }] = await readTopic(log, "registry");
  assert.equal(key, "acme|a");
  assert.partialDeepStrictEqual(JSON.parse(value), { v: 1, status: "allowed", source: "auto" });
  assert.equal(ask(await open(t, log, { mode: "closed" }), "a"), "pass");
});

test("a denial survives an automatic registration that crossed it, also when compaction keeps only the newest", async (t) => {
  const log = await withTopic(t);
  await write(log, "a", '{"v":1,"status":"denied"}');
  await write(log, "a", '{"v":1,"status":"allowed","source":"auto"}');
  const registry = await open(t, log, { mode: "auto-register" });
  assert.equal(ask(registry, "a"), "drop");
  const newest = async () => (JSON.parse((await readTopic(log, "registry")).at(-1)?.value ?? "{}") as { status?: string }).status;
  await waitFor("the denial is the newest row", async () => (await newest()) === "denied");
  await write(log, "a", '{"v":1,"status":"allowed"}');
  await waitFor("a person lifts it", () => ask(registry, "a") === "pass");
});

test("a bound on devices: more at the start stop it; later an allowed one stays unknown and a denied one is kept", async (t) => {
  const log = await withTopic(t);
  for (const device of ["a", "b"]) await write(log, device, '{"v":1,"status":"allowed"}');
  await assert.rejects(open(t, log, { maxDevices: 1 }), { code: "registry-full" });
  const registry = await open(t, log, { maxDevices: 2 });
  await write(log, "c", '{"v":1,"status":"allowed"}');
  await write(log, "d", '{"v":1,"status":"denied"}');
  await waitFor("d is denied", () => ask(registry, "d") === "drop");
  assert.equal(ask(registry, "c"), "shed");
  assert.equal(registry.known.allowed + registry.known.denied, 2);
});
