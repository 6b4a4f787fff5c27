/** 200,000 events of 2,000 devices through the whole job: normalized is exactly the distinct set, every ledger count is exact. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { pino } from "pino";
import { generateFleet } from "../../cli/simulate/fleet.ts";
import { EmbeddedLog } from "../../eventlog/embedded/embedded-log.ts";
import { KafkaLog } from "../../eventlog/kafka/kafka-log.ts";
import type { EventLog } from "../../eventlog/port.ts";
import { STORES, type AggregateRecord, type NormalizedRecord } from "../../processors/formats/records.ts";
import { toLedgerView } from "../../processors/formats/ledger-view.ts";
import type { LedgerRow } from "../../processors/ledger.ts";
import { jobSettingsSchema } from "../../processors/settings.ts";
import { buildTelemetryTopology } from "../../processors/telemetry-topology.ts";
import { Worker } from "../../runtime/worker.ts";
import { need } from "../support/need.ts";
import { sharedKafka } from "../support/shared-kafka.ts";
import { createJobTopics, jobTopics, parseAll, readTopic, waitUntilDrained, writeRaw } from "../support/telemetry.ts";
import { tempDir } from "../support/temp-dir.ts";
import { uniqueName } from "../support/unique-name.ts";

const skipKafka = await need("kafka");
const logger = pino({ level: "silent" });

test("200,000 events with duplicates, reordering, gaps and reboots: exact on the embedded log", { timeout: 240_000 }, async (t) => {
  const log = await EmbeddedLog.open({ dir: tempDir(t, "fleet"), logger });
  t.after(() => log.close());
  await exactFleet(t, log);
});

test("200,000 events with duplicates, reordering, gaps and reboots: exact on Kafka", { skip: skipKafka, timeout: 240_000 }, async (t) => {
  const kafka = await sharedKafka();
  const log = new KafkaLog({ brokers: kafka.bootstrap, clientId: "fleet-exact", logger });
  t.after(() => log.close());
  await exactFleet(t, log);
});

async function exactFleet(t: TestContext, log: EventLog): Promise<void> {
  const topics = jobTopics();
  await createJobTopics(log, topics, 4);
  const fleet = generateFleet({
    seed: 7,
    tenant: "demo",
    devices: 2_000,
    count: 200_000,
    rate: 2_000,
    startTs: Date.now() - 3_600_000,
    duplicates: 0.1,
    duplicateDistance: 50_000,
    reorder: 0.05,
    gaps: 0.01,
    reboots: 0.002,
  });
  const total = await writeRaw(log, topics.raw, rawEvents(fleet));
  assert.equal(total, 200_000);

  const applicationId = uniqueName("fleet");
  const worker = new Worker({
    applicationId,
    topology: buildTelemetryTopology(jobSettingsSchema.parse({ topics })),
    log,
    state: { dir: tempDir(t, "fleet-state"), engine: "level", cacheMiB: 16 },
    processing: { guarantee: "exactly-once", commitIntervalMs: 100 },
    sessionTimeoutMs: 10_000,
    deadLetterTopic: topics.dlq,
    logger,
  });
  t.after(() => worker.stop());
  await worker.start();
  await waitUntilDrained(log, applicationId, topics.raw, 180_000);

  const { expected } = fleet;
  const ledgers = await allLedgers(worker);
  assert.equal(ledgers.size, expected.ledgers.size);
  for (const [deviceId, { received, duplicates, outOfOrder, gapsOpen, lost, reboots }] of expected.ledgers) {
    const row = ledgers.get(`demo|${deviceId}`);
    assert.ok(row !== undefined, `a ledger for ${deviceId}`);
    const view = toLedgerView(row);
    const actual = {
      received: view.received,
      duplicates: view.duplicates,
      outOfOrder: view.outOfOrder,
      gapsOpen: view.gapsOpen,
      lost: view.lost,
      reboots: view.reboots,
    };
    assert.deepEqual(actual, { received, duplicates, outOfOrder, gapsOpen, lost, reboots }, deviceId);
  }
  await worker.stop();

  const normalized = parseAll<NormalizedRecord>(await readTopic(log, topics.normalized));
  const ids = new Set(normalized.map((record) => `${record.tenant}|${record.deviceId}|${String(record.bootId)}|${String(record.seq)}`));
  assert.equal(normalized.length, expected.distinct.size, "each once");
  assert.deepEqual([...ids].sort(), [...expected.distinct].sort(), "exactly the distinct set");

  const aggregates = parseAll<AggregateRecord>(await readTopic(log, topics.aggregates));
  const windows = new Set(aggregates.map((record) => `${record.deviceId}/${record.window.start}`));
  assert.equal(windows.size, aggregates.length, "each final window once");
  assert.equal((await readTopic(log, topics.dlq)).length, 0);
}

function* rawEvents(fleet: ReturnType<typeof generateFleet>) {
  for (const event of fleet.events())
    yield { tenant: event.tenant, deviceId: event.deviceId, value: event.bytes, receivedTs: Math.floor(event.sendAtMs) };
}

async function allLedgers(worker: Worker): Promise<Map<string, LedgerRow>> {
  const rows = new Map<string, LedgerRow>();
  for (let after: string | undefined; ;) {
    const page = await worker.queries.scan(STORES.ledger, { after, limit: 500 });
    for (const { key, value } of page) rows.set(key, value as LedgerRow);
    if (page.length < 500) return rows;
    after = page[page.length - 1].key;
  }
}
