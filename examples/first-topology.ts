/**
 * A first topology: how hot was each device, minute by minute? Runs on the embedded log, so nothing has to be installed.
 *
 *     npx node examples/first-topology.ts
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { EmbeddedLog } from "../eventlog/embedded/embedded-log.ts";
import { partitionForKey } from "../eventlog/records/murmur2.ts";
import { Worker } from "../runtime/worker.ts";
import { serdes } from "../state/serdes.ts";
import { StreamsBuilder } from "../topology/streams-builder.ts";

interface Reading {
  readonly tempC: number;
}

// The topology: ten lines.
const json = { key: serdes.string, value: serdes.json<Reading>() };
const builder = new StreamsBuilder();
builder
  .stream("readings", json)
  .filter((reading) => Number.isFinite(reading.tempC))
  .groupByKey()
  .windowedBy({ type: "tumbling", sizeMs: 60_000, graceMs: 0 })
  .aggregate({
    name: "hottest",
    key: serdes.string,
    value: serdes.float64,
    initial: () => -Infinity,
    add: (_device, { tempC }, max) => Math.max(max, tempC),
  })
  .map(({ key, start }, max) => [key, { minute: new Date(start).toISOString().slice(11, 16), max }])
  .to("hottest-per-minute", { key: serdes.string, value: serdes.json() });
const topology = builder.build();

const print = (line: string): boolean => process.stdout.write(`${line}\n`);

// The rest is what a test or a service has around it: a log, a worker, something to read, someone who looks.
const dir = await mkdtemp(join(tmpdir(), "sluice-first-"));
const log = await EmbeddedLog.open({ dir: join(dir, "log") });
await log.admin.createTopics(["readings", "hottest-per-minute"].map((name) => ({ name, partitions: 1, config: {} })));
print(topology.describe());

const worker = new Worker({
  applicationId: "first",
  topology,
  log,
  state: { dir: join(dir, "state"), engine: "level", cacheMiB: 16 },
  processing: { guarantee: "exactly-once", commitIntervalMs: 100 },
  sessionTimeoutMs: 10_000,
  logger: pino({ level: "warn" }),
});
await worker.start();

const writer = log.plainWriter({});
const MINUTES = 3;
for (let second = 0; second <= MINUTES * 60; second += 10) {
  for (const device of ["kiln", "oven"]) {
    const key = Buffer.from(device);
    const value = Buffer.from(JSON.stringify({ tempC: (device === "kiln" ? 900 : 200) + second }));
    writer.send({ topic: "readings", partition: partitionForKey(key, 0, key.length, 1) }, key, value, undefined, second * 1000, (error) => {
      if (error !== undefined) throw error;
    });
  }
}
await writer.flush();

const reader = log.reader({ isolation: "read_committed" });
reader.assign([{ topic: "hottest-per-minute", partition: 0, offset: 0 }]);
for (let results = 0; results < MINUTES * 2;) {
  for (const { records } of await reader.poll(1000)) {
    for (let i = 0; i < records.count; i++, results++) print([records.key(i), records.value(i)].join(": "));
  }
}
await reader.close();
await worker.stop();
await log.close();
await rm(dir, { recursive: true });
