import assert from "node:assert/strict";
import { test } from "node:test";
import { pino } from "pino";
import { Registry } from "prom-client";
import { buildApi } from "../../api/server.ts";
import { EmbeddedLog } from "../../eventlog/embedded/embedded-log.ts";
import { jobSettingsSchema } from "../../processors/settings.ts";
import { buildTelemetryTopology } from "../../processors/telemetry-topology.ts";
import { Worker } from "../../runtime/worker.ts";
import { createJobTopics, jobTopics, waitUntilDrained, writeRaw } from "../support/telemetry.ts";
import { tempDir } from "../support/temp-dir.ts";

const logger = pino({ level: "silent" });

/** Once a 500: without rules the job has no store of alerts, which the API asked. */
test("a job without rules answers about a device, and that it has no alerts", async (t) => {
  const log = await EmbeddedLog.open({ dir: tempDir(t, "without-rules"), logger });
  t.after(() => log.close());
  const topics = jobTopics();
  await createJobTopics(log, topics, 2);
  const worker = new Worker({
    applicationId: "without-rules",
    topology: buildTelemetryTopology(jobSettingsSchema.parse({ topics, rules: [] })),
    log,
    state: { dir: tempDir(t, "without-rules-state"), engine: "memory", cacheMiB: 8 },
    processing: { guarantee: "exactly-once", commitIntervalMs: 20 },
    sessionTimeoutMs: 10_000,
    logger,
  });
  t.after(() => worker.stop());
  const { queries, feed } = worker;
  const app = buildApi({ queries, feed, registry: new Registry(), topics, ready: () => true, logger, version: "test" });
  t.after(() => app.close());
  await worker.start();
  const ts = Date.now();
  const value = Buffer.from(JSON.stringify({ deviceId: "d1", bootId: "b", seq: 0, ts, tempC: 21 }));
  await writeRaw(log, topics.raw, [{ tenant: "demo", deviceId: "d1", value, receivedTs: ts }]);
  await waitUntilDrained(log, "without-rules", topics.raw);
  const ask = async (path: string): Promise<unknown> => (await app.inject(`/v1/tenants/demo/${path}`)).json();
  assert.deepEqual(((await ask("devices/d1")) as { activeAlerts: unknown }).activeAlerts, []);
  assert.deepEqual(await ask("devices/d1/alerts"), { active: [], recent: [] });
});
