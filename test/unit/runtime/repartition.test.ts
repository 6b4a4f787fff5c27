/** Two sub-topologies with a repartition topic between them, on the embedded log. */
import assert from "node:assert/strict";
import { describe, test, type TestContext } from "node:test";
import { pino } from "pino";
import { EmbeddedLog } from "../../../eventlog/embedded/embedded-log.ts";
import type { LogErrorCode } from "../../../eventlog/errors.ts";
import type { Admin, PartitionOffset } from "../../../eventlog/port.ts";
import { partitionForKey } from "../../../eventlog/records/murmur2.ts";
import { RepartitionPurger } from "../../../runtime/repartition-purger.ts";
import { countPartitions } from "../../../runtime/sub-topology-partitions.ts";
import type { TaskCommit } from "../../../runtime/task.ts";
import { Worker } from "../../../runtime/worker.ts";
import type { WorkerOptions } from "../../../runtime/worker-options.ts";
import { serdes } from "../../../state/serdes.ts";
import { StreamsBuilder } from "../../../topology/streams-builder.ts";
import { FaultyLog, type FaultPoint } from "../../support/faulty-log.ts";
import { expectedSiteCounts, readSiteCounts, siteTopology, writeReadings } from "../../support/site-counts.ts";
import { partitionsOf, waitUntilDrained } from "../../support/telemetry.ts";
import { tempDir } from "../../support/temp-dir.ts";
import { waitFor } from "../../support/wait-for.ts";

const logger = pino({ level: process.env.TEST_LOG ?? "silent" });
const texts = { key: serdes.string, value: serdes.string };
const REPARTITION = "app-by-site-repartition";

async function setUp(t: TestContext) {
  const embedded = await EmbeddedLog.open({ dir: tempDir(t, "repartition-log"), logger });
  const faults = new FaultyLog(embedded);
  const { log } = faults;
  const workers: Worker[] = [];
  t.after(async () => {
    await Promise.all(workers.map((worker) => worker.stop()));
    await embedded.close();
  });
  await log.admin.createTopics([
    { name: "in", partitions: 4, config: {} },
    { name: "out", partitions: 1, config: {} },
  ]);
  const stateDir = tempDir(t, "repartition-state");
  return {
    log,
    faults,
    /** Beside the faults, which are for the worker. */
    feed: (from: number, count: number) => writeReadings(embedded, "in", from, count),
    start: async (overrides: Partial<WorkerOptions> = {}): Promise<Worker> => {
      const worker = new Worker({
        applicationId: "app",
        topology: siteTopology("in", "out", 2),
        log,
        state: { dir: stateDir, engine: "level", cacheMiB: 4 },
        processing: { guarantee: "exactly-once", commitIntervalMs: 10, repartitionPurgeIntervalMs: 20 },
        sessionTimeoutMs: 5_000,
        logger,
        ...overrides,
      });
      workers.push(worker);
      await worker.start();
      return worker;
    },
    drained: async (): Promise<void> => {
      await waitUntilDrained(log, "app", "in");
      await waitUntilDrained(log, "app", REPARTITION);
    },
  };
}

const FAULTS: readonly [FaultPoint, LogErrorCode][] = [
  ["write", "transaction-aborted"],
  ["commit", "fenced"],
  ["after-commit", "unknown-outcome"],
];
for (const [point, code] of FAULTS) {
  test(`counts by a new key are exact when commits fail at "${point}" with ${code}`, async (t) => {
    const { log, faults, feed, start, drained } = await setUp(t);
    await start();
    for (let round = 0; round < 4; round++) {
      if (round > 0) faults.failNext(point, code);
      await feed(round * 500, 500);
      await waitFor("the fault struck", () => faults.injected === round);
    }
    await drained();
    assert.deepEqual(new Map([...(await readSiteCounts(log, "out"))].sort()), expectedSiteCounts(2_000));
  });
}

test("both sub-topologies' tasks are shared by two workers, and a store is located by its own sub-topology", async (t) => {
  const { log, feed, start, drained } = await setUp(t);
  const first = await start({ advertisedUrl: "http://first" });
  const second = await start({ advertisedUrl: "http://second" });
  await feed(0, 700);
  await drained();
  await waitFor("both run", () =>
    [first, second].every((worker) => worker.state === "RUNNING" && worker.queries.worker().tasks.length === 3),
  );
  assert.deepEqual(new Map([...(await readSiteCounts(log, "out"))].sort()), expectedSiteCounts(700));
  for (const key of ["site-0", "site-1", "site-2", "site-3"]) {
    const bytes = Buffer.from(key);
    const wanted = `1_${partitionForKey(bytes, 0, bytes.length, 2)}`;
    const here = [first, second].filter(({ queries }) => queries.locate(key, { store: "site-counts" }).kind === "local");
    assert.deepEqual(
      here.map(({ queries }) => queries.locate(key, { store: "site-counts" })),
      [{ kind: "local", taskId: wanted }],
    );
    assert.equal(await here[0].queries.get("site-counts", key), 100);
  }
});

test("what was processed of a repartition topic is purged, and only that", async (t) => {
  const { log, feed, start, drained } = await setUp(t);
  const worker = await start();
  const starts = async (): Promise<number> => {
    const offsets = await log.admin.listOffsets(await partitionsOf(log, REPARTITION), "earliest", "read_committed");
    return offsets.reduce((sum, { offset }) => sum + offset, 0);
  };
  let written = 0;
  await waitFor("the repartition topic begins later", async () => {
    await feed(written, 70);
    written += 70;
    await drained();
    return (await starts()) > 0;
  });
  await worker.stop();
  await start();
  await feed(written, 70);
  await drained();
  assert.deepEqual(new Map([...(await readSiteCounts(log, "out"))].sort()), expectedSiteCounts(written + 70));
});

test("a purge goes up to what was committed, of repartition topics only, and once in its interval", () => {
  const purges: (readonly PartitionOffset[])[] = [];
  const admin = { deleteRecords: (before) => Promise.resolve(void purges.push(before)) } as Partial<Admin> as Admin;
  const topology = siteTopology("in", "out").forApplication("app");
  const committed = (purger: RepartitionPurger, topic: string, offset: number): void =>
    purger.committed([{ positions: [{ topic, partition: 1, offset }] } as Partial<TaskCommit> as TaskCommit]);
  const rarely = new RepartitionPurger(admin, topology, logger, 60_000);
  committed(rarely, REPARTITION, 5);
  assert.deepEqual(purges, []);
  const always = new RepartitionPurger(admin, topology, logger, 0);
  committed(always, "in", 7);
  assert.deepEqual(purges, []);
  committed(always, REPARTITION, 9);
  assert.deepEqual(purges, [[{ topic: REPARTITION, partition: 1, offset: 9 }]]);
});

test("a repartition topic with another partition count is refused", async (t) => {
  const { log, start } = await setUp(t);
  await log.admin.createTopics([{ name: REPARTITION, partitions: 3, config: {} }]);
  await assert.rejects(start(), { code: "topology-mismatch", message: /app-by-site-repartition has 3 partitions where 2 are needed/ });
});

describe("partition counts", () => {
  const sizes: Record<string, number> = { a: 4, b: 6 };
  const counts = (build: (builder: StreamsBuilder) => void): Promise<number[]> => {
    const builder = new StreamsBuilder();
    build(builder);
    return countPartitions(builder.build(), (topic) => Promise.resolve(sizes[topic]));
  };
  test("a repartition topic has as many as its largest writer, also over several steps", async () => {
    const found = await counts((builder) => {
      const merged = builder.stream("a", texts).repartition({ name: "one", ...texts, partitions: 3 });
      builder
        .stream("b", texts)
        .repartition({ name: "two", ...texts })
        .repartition({ name: "three", ...texts })
        .to("out", texts);
      merged.repartition({ name: "four", ...texts }).to("out", texts);
    });
    assert.deepEqual(found, [4, 3, 6, 6, 6, 3]);
  });
  test("read together with another topic, it has as many as that one", async () => {
    const found = await counts((builder) => {
      const rekeyed = builder.stream("a", texts).repartition({ name: "one", ...texts });
      builder.stream("b", texts).merge(rekeyed).to("out", texts);
    });
    assert.deepEqual(found, [4, 6]);
  });
  test("topics that are read together and differ are refused by name", async () => {
    const found = counts((builder) => builder.stream("a", texts).merge(builder.stream("b", texts)).to("out", texts));
    await assert.rejects(found, { code: "topology-mismatch", message: /a: 4, b: 6/ });
  });
});
