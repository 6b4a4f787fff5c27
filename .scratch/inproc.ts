import { pino } from "pino";
import { KafkaLog } from "../eventlog/kafka/kafka-log.ts";
import { jobSettingsSchema } from "../processors/settings.ts";
import { buildTelemetryTopology } from "../processors/telemetry-topology.ts";
import { Worker } from "../runtime/worker.ts";
import { CleanupList } from "../test/support/cleanup.ts";
import { startKafka } from "../test/support/kafka.ts";
import { committedSum, createJobTopics, jobTopics, writeRaw } from "../test/support/telemetry.ts";
import { tempDir } from "../test/support/temp-dir.ts";
import { cpuSeconds } from "../bench/process-usage.ts";
import { streamData } from "../bench/stream-data.ts";
import { Session } from "node:inspector/promises";
import { writeFileSync } from "node:fs";
const cleanup = new CleanupList();
const kafka = await startKafka(cleanup, { heapMiB: 1024, config: {} });
const logger = pino({ level: "warn" });
const log = new KafkaLog({ brokers: kafka.bootstrap, clientId: "bench", logger });
const topics = jobTopics();
await createJobTopics(log, topics, 4);
const data = streamData(10000, 100, Date.now() - 3600000);
await writeRaw(log, topics.raw, data.events());
const dir = tempDir(cleanup, "x");
const ci = Number(process.argv[2] ?? 100);
const worker = new Worker({ applicationId: "app", instanceId: "i", topology: buildTelemetryTopology(jobSettingsSchema.parse({ topics })), log, state: { dir, engine: "level", cacheMiB: 64 }, processing: { guarantee: "exactly-once", commitIntervalMs: ci }, sessionTimeoutMs: 10000, deadLetterTopic: topics.dlq, logger });
const session = new Session(); session.connect();
if (process.argv[3]) { await session.post("Profiler.enable"); await session.post("Profiler.setSamplingInterval", { interval: 500 }); await session.post("Profiler.start"); }
const t0 = performance.now(); const c0 = cpuSeconds(process.pid); const b0 = cpuSeconds(kafka.pids[0]);
await worker.start();
for (;;) { const s = await committedSum(log, "app", topics.raw); if (s >= data.total) break; await new Promise((r) => setTimeout(r, 50)); }
const cpu = cpuSeconds(process.pid) - c0; const wall = (performance.now() - t0) / 1000;
console.log({ wall, cpu, perCpu: Math.round(data.total / cpu), perWall: Math.round(data.total / wall), broker: cpuSeconds(kafka.pids[0]) - b0, rss: Math.round(process.memoryUsage().rss / 1048576) });
console.log((await worker.registry.getSingleMetricAsString("sluice_commit_seconds")).split("\n").filter((l) => /sum|count/.test(l)).join(" "));
if (process.argv[3]) { const { profile } = await session.post("Profiler.stop"); writeFileSync("/tmp/profk/x.cpuprofile", JSON.stringify(profile)); }
await worker.stop(); await log.close(); await cleanup.run();
