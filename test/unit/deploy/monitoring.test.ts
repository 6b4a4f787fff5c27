/** The dashboard and the alert rules in deploy/ name only metrics that a worker exports. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test, type TestContext } from "node:test";
import { pino } from "pino";
import { parse } from "yaml";
import { watchCertificates } from "../../../cli/certificate-watch.ts";
import { Closers } from "../../../cli/service.ts";
import { EmbeddedLog } from "../../../eventlog/embedded/embedded-log.ts";
import { Worker } from "../../../runtime/worker.ts";
import { serdes } from "../../../state/serdes.ts";
import { StreamsBuilder } from "../../../topology/streams-builder.ts";
import { recordSet, write } from "../../contract/eventlog-helpers.ts";
import { waitUntilDrained } from "../../support/telemetry.ts";
import { tempDir } from "../../support/temp-dir.ts";

const deploy = new URL("../../../deploy/", import.meta.url);
const read = (file: string): string => readFileSync(new URL(file, deploy), "utf8");
const namesIn = (expressions: readonly string[]): Set<string> => new Set(expressions.flatMap((text) => text.match(/\bsluice_\w+/g) ?? []));

const dashboard = JSON.parse(read("grafana-dashboard.json")) as { panels: { title: string; targets: { expr: string }[] }[] };
const alerts = parse(read("prometheus-alerts.yaml")) as {
  groups: { rules: { alert: string; expr: string; labels: { severity: string }; annotations: { summary: string } }[] }[];
};
const rules = alerts.groups.flatMap((group) => group.rules);

/** Counts by size of text, drops "late" ones, and throws at "boom": every kind of counter is made. */
async function exported(t: TestContext): Promise<string> {
  const log = await EmbeddedLog.open({ dir: tempDir(t, "metrics-log") });
  await log.admin.createTopics(["in", "out", "dlq"].map((name) => ({ name, partitions: 1, config: {} })));
  const builder = new StreamsBuilder();
  builder
    .stream("in", { key: serdes.string, value: serdes.string })
    .mapValues((value) => {
      if (value === "boom") throw new Error("boom");
      return value;
    })
    .groupByKey()
    .windowedBy({ type: "tumbling", sizeMs: 10, graceMs: 0 })
    .count({ name: "counts", key: serdes.string, value: serdes.float64 })
    .map<string, number>(({ key }, count) => [key, count])
    .to("out", { key: serdes.string, value: serdes.float64 });
  const worker = new Worker({
    applicationId: "app",
    topology: builder.build(),
    log,
    state: { dir: tempDir(t, "metrics-state"), engine: "memory", cacheMiB: 4 },
    processing: { guarantee: "exactly-once", commitIntervalMs: 10 },
    sessionTimeoutMs: 5_000,
    deadLetterTopic: "dlq",
    logger: pino({ level: "silent" }),
  });
  t.after(() => worker.stop().then(() => log.close()));
  // The command does, to the same registry.
  watchCertificates({}, worker.registry, pino({ level: "silent" }), new Closers());
  await worker.start();
  const at = (timestamp: number, value = "x") => ({ key: "k", value, timestamp });
  await write(log, recordSet("in", [at(1), at(2), at(100), at(1), at(101, "boom")]));
  await waitUntilDrained(log, "app", "in");
  return worker.registry.metrics();
}

test("every metric that the dashboard and the alerts name is exported by a running worker", async (t) => {
  const text = await exported(t);
  const sample = new Set(text.split("\n").flatMap((line) => (line.startsWith("#") ? [] : (line.match(/^\w+/) ?? []))));
  // there only when there is one: a commit that failed, a copy of another worker's task, a certificate
  const occasional = new Set(["sluice_recoveries_total", "sluice_standby_lag_records", "sluice_certificate_expiry_seconds"]);
  const types = new Set([...text.matchAll(/^# TYPE (\w+)/gm)].map(([, name]) => name));
  const named = namesIn([
    ...dashboard.panels.flatMap((panel) => panel.targets.map((target) => target.expr)),
    ...rules.map(({ expr }) => expr),
  ]);
  assert.ok(named.size > 20);
  const missing = [...named].filter((name) => !sample.has(name) && !(occasional.has(name) && types.has(name)));
  assert.deepEqual(missing, []);
});

test("the figures are what happened: latency per commit, timers, cache, dropped, restores", async (t) => {
  const text = await exported(t);
  const value = (name: string): number => Number(new RegExp(`^${name.replace(/[{}"]/g, "\\$&")} (\\S+)`, "m").exec(text)?.[1]);
  assert.equal(value("sluice_records_processed_total"), 5);
  assert.equal(value("sluice_polled_records_total"), 5);
  assert.equal(value('sluice_dropped_total{reason="late"}'), 1);
  assert.equal(value('sluice_dead_letters_total{reason="processing-error"}'), 1);
  assert.ok(value("sluice_end_to_end_latency_seconds_count") >= 1);
  // the first record's timestamp is 1 ms after 1970
  assert.ok(value("sluice_end_to_end_latency_seconds_sum") > 1e9);
  assert.ok(value("sluice_process_seconds_total") > 0);
  assert.ok(value("sluice_store_cache_hits_total") + value("sluice_store_cache_misses_total") > 0);
  assert.equal(value('sluice_task_lag_records{task="0_0"}'), 0);
  assert.equal(value("sluice_worker_running"), 1);
  assert.equal(value("sluice_restore_remaining_records"), 0);
});

test("alerts and panels are complete: each rule with severity and summary, each panel with a title and a query", () => {
  for (const { alert, labels, annotations } of rules) {
    assert.match(labels.severity, /^(warning|critical)$/, alert);
    assert.ok(annotations.summary.length > 10, alert);
  }
  assert.equal(new Set(rules.map(({ alert }) => alert)).size, rules.length);
  for (const { title, targets } of dashboard.panels) assert.ok(title.length > 0 && targets.length > 0);
});
