/**
 * Two tenants with devices of the same names through Mosquitto, ingress, Kafka and worker. One tenant's devices try what their own
 * topics, payloads and names allow (what the broker refuses is in mqtt-acl.test.ts): nothing of it is ever under the other's key.
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { connectAsync } from "mqtt";
import { pino } from "pino";
import { KafkaLog } from "../../eventlog/kafka/kafka-log.ts";
import type { EventLog } from "../../eventlog/port.ts";
import type { DeviceStateRecord, LedgerView, NormalizedRecord } from "../../processors/formats/records.ts";
import { startMosquitto } from "../support/mosquitto.ts";
import { need } from "../support/need.ts";
import { sharedKafka } from "../support/shared-kafka.ts";
import { runCli, spawnCli } from "../support/spawn-cli.ts";
import { jobTopics, parseAll, readTopic, type LogRecord } from "../support/telemetry.ts";
import { tempDir } from "../support/temp-dir.ts";
import { uniqueName } from "../support/unique-name.ts";
import { waitFor } from "../support/wait-for.ts";

const skip = await need("kafka", "mosquitto");
const EVENTS = 5;
const TOKENS = { acme: "of-acme-and-long-enough", beta: "of-beta-and-long-enough" } as const;
/** Which it was shows in each value. */
const VALUES = { acme: 20.5, beta: 50.5 } as const;
type Tenant = keyof typeof TOKENS;

/** What beta's device d1 sends on a topic that the broker lets it use, and what becomes of it. */
const TRIES: readonly { readonly what: string; readonly topic?: string; readonly payload: object | string; readonly reason: string }[] = [
  { what: "the other tenant in the payload", payload: { tenant: "acme", deviceId: "d1" }, reason: "tenant-mismatch" },
  { what: "a name that looks like its own", payload: { tenant: "bеta", deviceId: "d1" }, reason: "tenant-mismatch" },
  { what: "its own name and the other's", payload: '{"tenant":"beta","tenant":"acme","tempC":50.5}', reason: "tenant-mismatch" },
  { what: "another device", payload: { deviceId: "d2" }, reason: "device-mismatch" },
  { what: "the other's key as device", payload: { deviceId: "acme|d1" }, reason: "device-mismatch" },
  { what: "an empty tenant", payload: { tenant: "", deviceId: "d1" }, reason: "tenant-mismatch" },
  { what: "the second of two events of the other", payload: [{ tenant: "beta" }, { tenant: "acme" }], reason: "tenant-mismatch" },
  { what: "the key's separator in a tenant", topic: "t/acme|d1/d/x/telemetry", payload: {}, reason: "bad-topic" },
  { what: "the key's separator in a device", topic: "t/beta/d/acme|d1/telemetry", payload: {}, reason: "bad-topic" },
  { what: "no tenant", topic: "t//d/d1/telemetry", payload: { tenant: "acme" }, reason: "bad-topic" },
  { what: "no device", topic: "t/acme/d//telemetry", payload: {}, reason: "bad-topic" },
];

/** Tenants that are not acme, whatever they look like: no device of theirs is known. */
const LOOK_ALIKES = ["ACME", "аcme", "acme ", "acme%2Fd%2Fd1", "acme%7Cd1", "acme\u200b", "..", "*", "$share"];

test(
  "two tenants with the same device ids: no topic, payload, state or name of one is ever under the other's key",
  { skip, timeout: 120_000 },
  async (t) => {
    const [kafka, mosquitto] = await Promise.all([sharedKafka(), startMosquitto(t)]);
    const topics = jobTopics();
    const name = uniqueName("doors");
    const own = { shed: `${name}-shed`, registry: `${name}-registry`, presence: `${name}-presence` };
    const tokensFile = join(tempDir(t, "tokens"), "tokens.json");
    const tokens = Object.entries(TOKENS).map(([tenant, token]) => ({ name: tenant, token, tenants: [tenant], permissions: ["read"] }));
    writeFileSync(tokensFile, JSON.stringify({ tokens }));
    const config = {
      applicationId: name,
      kafka: { brokers: kafka.bootstrap },
      mqtt: { url: mosquitto.url, clientId: name },
      topics,
      admission: { shedTopic: own.shed },
      deviceRegistry: { mode: "closed", topic: own.registry },
      presence: { topic: own.presence, offlineHoldMs: 1_000 },
      topicDefaults: { partitions: 2 },
      rules: [{ name: "hot", metric: "temperature_c", above: 40, tenant: "acme" }],
      state: { dir: tempDir(t, "state") },
      http: { port: 0, tokensFile },
    };
    assert.equal((await runCli(t, ["topics", "create"], { config })).code, 0);
    const log = new KafkaLog({ brokers: kafka.bootstrap, clientId: name, logger: pino({ level: "silent" }) });
    t.after(() => log.close());
    await register(log, own.registry, {
      "acme|d1": "allowed",
      "beta|d1": "allowed",
      "acme|d9": "allowed",
      "beta|d8": "allowed",
      "acme|d8": "denied",
    });
    const [ingress, worker] = await Promise.all([spawnCli(t, ["ingress"], { config }), spawnCli(t, ["worker"], { config })]);
    await ingress.waitForOutput(/ingress takes telemetry/);
    const [, url] = await worker.waitForOutput(/"url":"(http:[^"]+)"/);

    const client = await connectAsync(mosquitto.url);
    t.after(() => client.endAsync());
    const say = (topic: string, payload: object | string): Promise<unknown> =>
      client.publishAsync(topic, typeof payload === "string" ? payload : JSON.stringify(payload), { qos: 1 });
    for (let seq = 0; seq < EVENTS; seq++)
      for (const tenant of ["acme", "beta"] as const)
        await say(`t/${tenant}/d/d1/telemetry`, { deviceId: "d1", bootId: "b", seq, tempC: VALUES[tenant] });
    for (const { topic = "t/beta/d/d1/telemetry", payload } of TRIES) {
      const events = [payload].flat().map((one) => (typeof one === "string" ? one : { tempC: VALUES.beta, ...one }));
      await say(topic, events.length === 1 ? events[0] : events);
    }
    for (const tenant of LOOK_ALIKES) await say(`t/${tenant}/d/d1/telemetry`, { deviceId: "d1", tempC: VALUES.beta });
    // d9 is acme's and d8 is denied to acme: neither says anything of beta's
    for (const id of ["d8", "d9"]) await say(`t/beta/d/${id}/telemetry`, { deviceId: id, bootId: "b", seq: 0, tempC: VALUES.beta });
    await say("t/beta/d/d1/state", { status: "offline", tenant: "acme", deviceId: "d1", reason: "of-beta" });
    await say("t/acme/d/d8/telemetry", { deviceId: "d8", tempC: VALUES.acme });

    const letters = await waitFor("a dead letter for each try", async () => atLeast(await readTopic(log, topics.dlq), TRIES.length), WAIT);
    const shed = await waitFor("shed", async () => atLeast(await readTopic(log, own.shed), LOOK_ALIKES.length + 1), WAIT);
    const normalized = await waitFor("normalized", async () => atLeast(await readTopic(log, topics.normalized), 2 * EVENTS + 2), WAIT);
    const alerts = await readTopic(log, topics.alerts);
    await waitFor(
      "beta's device is offline",
      async () => (await readTopic(log, own.presence)).some(({ value }) => String(value).includes("of-beta")),
      WAIT,
    );

    assert.deepEqual(letters.map(({ headers }) => headers.get("dlq.reason")).sort(), TRIES.map(({ reason }) => reason).sort());
    assert.deepEqual(new Set(letters.map(({ key }) => key)), new Set(["beta|d1", null]), "a bad topic has no key");
    assert.deepEqual(new Set(shed.map(({ key }) => key)), new Set([...LOOK_ALIKES.map((tenant) => `${tenant}|d1`), "beta|d9"]));
    assert.deepEqual(
      parseAll<NormalizedRecord>(normalized).filter(({ tenant, metrics }) => metrics.temperature_c !== VALUES[tenant as Tenant]),
      [],
      "each value is its own tenant's",
    );
    for (const { key, value } of normalized)
      assert.ok(key?.startsWith(`${(JSON.parse(String(value)) as NormalizedRecord).tenant}|`), key ?? "");
    // beta's second event of two, and d8
    assert.deepEqual(countByKey(normalized), { "acme|d1": EVENTS, "beta|d1": EVENTS + 1, "beta|d8": 1 });
    assert.deepEqual(alerts, [], "acme's rule is not for beta");
    for (const topic of [topics.raw, topics.deviceState, own.presence])
      for (const { key, value } of await readTopic(log, topic))
        if (key?.startsWith("acme|")) assert.doesNotMatch(String(value), /50\.5|of-beta/, `${topic} ${key}`);

    const ask = async (tenant: Tenant, path: string): Promise<Response> =>
      fetch(url + path, { headers: { authorization: `Bearer ${TOKENS[tenant]}` } });
    for (const tenant of ["acme", "beta"] as const) {
      const device = (await (await ask(tenant, `/v1/tenants/${tenant}/devices/d1`)).json()) as DeviceStateRecord & { ledger: LedgerView };
      assert.deepEqual([device.tenant, device.metrics.temperature_c.value], [tenant, VALUES[tenant]]);
      assert.deepEqual(
        [device.ledger.received >= EVENTS, device.ledger.duplicates],
        [true, 0],
        "the same ids and numbers are no duplicates",
      );
      const list = (await (await ask(tenant, `/v1/tenants/${tenant}/devices`)).json()) as { devices: DeviceStateRecord[] };
      assert.deepEqual(
        list.devices.map(({ deviceId }) => deviceId),
        tenant === "acme" ? ["d1"] : ["d1", "d8"],
      );
      assert.deepEqual(await (await ask(tenant, "/v1/tenants")).json(), { tenants: [{ tenant }], next: null, complete: true, missing: [] });
      assert.equal((await ask(tenant, `/v1/tenants/${tenant === "acme" ? "beta" : "acme"}/devices/d1`)).status, 403);
    }
    const [stopped] = await Promise.all([worker.stop(), ingress.stop()]);
    assert.equal(stopped.code, 0, worker.stderr());
  },
);

const WAIT = { deadlineMs: 30_000, intervalMs: 200 } as const;

function atLeast<T>(records: readonly T[], count: number): readonly T[] | undefined {
  return records.length >= count ? records : undefined;
}

function countByKey(records: readonly LogRecord[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { key } of records) counts[String(key)] = (counts[String(key)] ?? 0) + 1;
  return counts;
}

async function register(log: EventLog, topic: string, entries: Readonly<Record<string, "allowed" | "denied">>): Promise<void> {
  const writer = log.plainWriter({});
  for (const [key, status] of Object.entries(entries))
    await new Promise<void>((resolve, reject) => {
      writer.send(
        { topic, partition: 0 },
        Buffer.from(key),
        Buffer.from(JSON.stringify({ v: 1, status })),
        undefined,
        Date.now(),
        (error) => (error === undefined ? resolve() : reject(error)),
      );
    });
  await writer.close();
}
