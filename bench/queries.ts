/**
 * The HTTP API of one `sluice worker` that has 10,000 devices: each route asked over and over by a few connections that are kept. A real
 * Kafka of its own, or that of KAFKA_BROKERS. The load comes from this process, on the same machine.
 *
 *     npm run bench:queries -- [--devices 10000] [--connections 16] [--seconds 8]
 */
import { Agent, get } from "node:http";
import { parseArgs } from "node:util";
import type { Cleanup } from "../test/support/cleanup.ts";
import { spawnCli } from "../test/support/spawn-cli.ts";
import { createJobTopics, waitUntilDrained, writeRaw } from "../test/support/telemetry.ts";
import { tempDir } from "../test/support/temp-dir.ts";
import { benchJob, benchKafka } from "./bench-kafka.ts";
import { conditions } from "./conditions.ts";
import { percentiles } from "./percentiles.ts";
import { cpuSeconds } from "./process-usage.ts";
import { report } from "./report.ts";
import { recentBaseMs, streamData } from "./stream-data.ts";
import { withCleanup } from "./with-cleanup.ts";

const { values } = parseArgs({
  options: {
    devices: { type: "string", default: "10000" },
    connections: { type: "string", default: "16" },
    seconds: { type: "string", default: "8" },
  },
});
const DEVICES = Number(values.devices);
/** Long enough that each device has closed windows. */
const SAMPLES = 60;
const WARM_UP_S = 2;
const PARTITIONS = 4;

/** Of the n-th device. */
const ROUTES: Readonly<Record<string, (n: number) => string>> = {
  "newest values": (n) => `/v1/tenants/demo/devices/device-${n}`,
  ledger: (n) => `/v1/tenants/demo/devices/device-${n}/ledger`,
  "closed windows": (n) => `/v1/tenants/demo/devices/device-${n}/aggregates`,
  "a page of devices": () => "/v1/tenants/demo/devices",
};

interface Load {
  readonly requests: number;
  readonly latenciesMs: readonly number[];
}

async function ask(agent: Agent, url: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = get(url, { agent, timeout: 10_000 }, (response) => {
      response.resume();
      response.once("end", () =>
        response.statusCode === 200 ? resolve() : reject(new Error(`${String(response.statusCode)} for ${url}`)),
      );
    });
    request.once("timeout", () => request.destroy(new Error(`no answer for ${url}`)));
    request.once("error", reject);
  });
}

async function load(agent: Agent, base: string, path: (n: number) => string, seconds: number): Promise<Load> {
  const latenciesMs: number[] = [];
  const end = performance.now() + seconds * 1_000;
  let next = 0;
  const connection = async (): Promise<void> => {
    while (performance.now() < end) {
      // far apart: neighbours would find each other's rows in the processor's cache
      const device = (next++ * 7_919) % DEVICES;
      const askedAt = performance.now();
      await ask(agent, base + path(device));
      latenciesMs.push(performance.now() - askedAt);
    }
  };
  await Promise.all(Array.from({ length: Number(values.connections) }, connection));
  return { requests: latenciesMs.length, latenciesMs };
}

async function main(t: Cleanup): Promise<void> {
  const { kafka, log } = await benchKafka(t);
  const { applicationId, topics } = benchJob(t, kafka);
  await createJobTopics(log, topics, PARTITIONS);
  await writeRaw(log, topics.raw, streamData(DEVICES, SAMPLES, recentBaseMs()).events());
  const config = { applicationId, kafka: { brokers: kafka.bootstrap }, topics, state: { dir: tempDir(t, "state") }, http: { port: 0 } };
  const worker = await spawnCli(t, ["worker"], { config });
  const [, url] = await worker.waitForOutput(/"url":"(http:[^"]+)"/);
  await waitUntilDrained(log, applicationId, topics.raw);
  const agent = new Agent({ keepAlive: true, maxSockets: Number(values.connections) });
  t.after(() => agent.destroy());
  report.log(JSON.stringify(conditions({ devices: DEVICES, connections: Number(values.connections) })));
  const rows: Record<string, object> = {};
  for (const [name, path] of Object.entries(ROUTES)) {
    await load(agent, url, path, WARM_UP_S);
    const [startedAt, cpuBefore] = [performance.now(), cpuSeconds(worker.pid)];
    const { requests, latenciesMs } = await load(agent, url, path, Number(values.seconds));
    rows[name] = {
      requestsPerSecond: Math.round((requests * 1_000) / (performance.now() - startedAt)),
      requestsPerCpuSecond: Math.round(requests / (cpuSeconds(worker.pid) - cpuBefore)),
      ...percentiles(
        latenciesMs.map((ms) => Math.round(ms * 10) / 10),
        { p50Ms: 0.5, p99Ms: 0.99 },
      ),
    };
  }
  report.table(rows);
  await worker.stop();
}

await withCleanup(main);
