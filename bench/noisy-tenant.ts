/**
 * What a tenant at 50 times its limit costs the quiet ones: milliseconds from a quiet device's publish until its message is durable,
 * alone and beside the noisy tenant, by policy. A real Mosquitto, the embedded log, each kind of publisher in a process of its own.
 *
 *   npm run bench:noisy-tenant -- --seconds 10      (needs mosquitto; four phases)
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { parseArgs } from "node:util";
import { connectAsync } from "mqtt";
import { pino } from "pino";
import { ADMISSION_DEFAULTS } from "../bridge/admission/settings.ts";
import { Ingress } from "../bridge/ingress.ts";
import { EmbeddedLog } from "../eventlog/embedded/embedded-log.ts";
import type { EventLog, PlainWriter } from "../eventlog/port.ts";
import { CleanupList } from "../test/support/cleanup.ts";
import { startMosquitto } from "../test/support/mosquitto.ts";
import { tempDir } from "../test/support/temp-dir.ts";
import { conditions } from "./conditions.ts";
import { percentiles } from "./percentiles.ts";
import { report } from "./report.ts";

const LIMIT_PER_SECOND = 100;
const NOISY_FACTOR = 50;
const QUIET_TENANTS = 10;
const QUIET_PER_SECOND = 20;
const TICK_MS = 10;

type Policy = "delay" | "shed" | "drop";
interface Result {
  readonly phase: string;
  readonly quiet: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly noisyLetIn: number;
}

/** One kind of publisher: its process ends when it has sent all. */
async function publish(url: string, seconds: number, noisy: boolean): Promise<void> {
  const client = await connectAsync(url);
  const perSecond = noisy ? LIMIT_PER_SECOND * NOISY_FACTOR : QUIET_PER_SECOND * QUIET_TENANTS;
  const startedMs = performance.now();
  const acks: Promise<unknown>[] = [];
  let sent = 0;
  await new Promise<void>((done) => {
    const timer = setInterval(() => {
      const elapsedS = Math.min(seconds, (performance.now() - startedMs) / 1000);
      for (; sent < elapsedS * perSecond; sent++) {
        const topic = noisy ? `t/noisy/d/${sent % 100}/telemetry` : `t/quiet${sent % QUIET_TENANTS}/d/a/telemetry`;
        acks.push(client.publishAsync(topic, noisy ? "x".repeat(110) : String(Date.now()), { qos: 1 }));
      }
      if (elapsedS < seconds) return;
      clearInterval(timer);
      done();
    }, TICK_MS);
  });
  await Promise.all(acks);
  await client.endAsync();
}

/** The log, with the time taken at which quiet messages become durable. */
function timed(log: EventLog, latenciesMs: number[]): { log: EventLog; noisy: () => number } {
  let noisy = 0;
  const plainWriter: EventLog["plainWriter"] = (options) => {
    const writer = log.plainWriter(options);
    const send: PlainWriter["send"] = (to, key, value, headers, timestamp, done) => {
      const isQuiet = key !== null && Buffer.from(key).toString().startsWith("quiet");
      if (!isQuiet && to.topic === "raw") noisy++;
      const sentTs = isQuiet ? Number(Buffer.from(value ?? []).toString()) : 0;
      writer.send(to, key, value, headers, timestamp, (error) => {
        if (isQuiet && error === undefined) latenciesMs.push(Date.now() - sentTs);
        done(error);
      });
    };
    return { ...bound(writer), send };
  };
  return { log: { admin: log.admin, partitionCount: (topic) => log.partitionCount(topic), plainWriter } as EventLog, noisy: () => noisy };
}

function bound(writer: PlainWriter): Omit<PlainWriter, "send"> {
  return { ready: () => writer.ready(), write: (set) => writer.write(set), flush: () => writer.flush(), close: () => writer.close() };
}

async function phase(name: string, seconds: number, policy: Policy | undefined): Promise<Result> {
  const cleanup = new CleanupList();
  const { url } = await startMosquitto(cleanup);
  const embedded = await EmbeddedLog.open({ dir: tempDir(cleanup, "bench-noisy") });
  cleanup.after(() => embedded.close());
  await embedded.admin.createTopics(["raw", "dlq", "shed"].map((topic) => ({ name: topic, partitions: 4, config: {} })));
  const latenciesMs: number[] = [];
  const { log, noisy } = timed(embedded, latenciesMs);
  const ingress = new Ingress({
    mqtt: { url, clientId: "bench", topics: ["t/+/d/+/telemetry"], qos: 1 },
    log,
    topics: { raw: "raw", dlq: "dlq" },
    validation: { maxValueBytes: 100_000 },
    admission: {
      ...ADMISSION_DEFAULTS,
      shedTopic: "shed",
      tenantRate: { perSecond: LIMIT_PER_SECOND, burst: LIMIT_PER_SECOND, policy: policy ?? "shed" },
    },
    ingressId: "bench",
    logger: pino({ level: "warn" }),
  });
  await ingress.start();
  const run = (...more: string[]): Promise<unknown> =>
    once(fork(import.meta.filename, ["--publish", url, "--seconds", String(seconds), ...more]), "exit");
  await Promise.all([run(), ...(policy === undefined ? [] : [run("--noisy")])]);
  await ingress.stop();
  await cleanup.run();
  return { phase: name, quiet: latenciesMs.length, ...percentiles(latenciesMs, { p50Ms: 0.5, p99Ms: 0.99 }), noisyLetIn: noisy() };
}

const { values } = parseArgs({
  options: { seconds: { type: "string", default: "10" }, publish: { type: "string" }, noisy: { type: "boolean", default: false } },
});
const seconds = Number(values.seconds);
if (values.publish !== undefined) await publish(values.publish, seconds, values.noisy);
else {
  const results = [await phase("quiet alone", seconds, undefined)];
  for (const policy of ["shed", "drop", "delay"] as const) results.push(await phase(`beside the noisy tenant, ${policy}`, seconds, policy));
  report.table(results);
  report.log(JSON.stringify({ bench: "noisy-tenant", ...conditions({ seconds }), results }));
}
