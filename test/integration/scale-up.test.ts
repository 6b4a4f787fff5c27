/** A second worker joins under load, on a real Kafka: what stays goes on, what moves is interrupted once, nothing is lost or doubled. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { pino } from "pino";
import { KafkaLog } from "../../eventlog/kafka/kafka-log.ts";
import type { EventLog } from "../../eventlog/port.ts";
import { RecordSet } from "../../eventlog/records/record-set.ts";
import { Worker } from "../../runtime/worker.ts";
import { countingTopology } from "../support/counting-topology.ts";
import { need } from "../support/need.ts";
import { sharedKafka } from "../support/shared-kafka.ts";
import { readTopic, waitUntilDrained, type LogRecord } from "../support/telemetry.ts";
import { tempDir } from "../support/temp-dir.ts";
import { uniqueName } from "../support/unique-name.ts";
import { waitFor } from "../support/wait-for.ts";

const skip = await need("kafka");
const logger = pino({ level: process.env.TEST_LOG ?? "silent" });
const PARTITIONS = 4;
const KEYS = 20;
const SESSION_TIMEOUT_MS = 6_000;

for (const guarantee of ["exactly-once", "at-least-once"] as const) {
  test(`a worker that joins takes its share, and tasks that stay commit on meanwhile (${guarantee})`, { skip }, async (t) => {
    const kafka = await sharedKafka();
    const log = new KafkaLog({ brokers: kafka.bootstrap, clientId: "scale-up", logger });
    t.after(() => log.close());
    const [applicationId, source, sink] = ["app", "in", "out"].map((name) => uniqueName(name));
    await log.admin.createTopics([source, sink].map((name) => ({ name, partitions: PARTITIONS, config: { "retention.ms": "-1" } })));
    const start = async (): Promise<Worker> => {
      const worker = new Worker({
        applicationId,
        topology: countingTopology(source, sink),
        log,
        state: { dir: tempDir(t, "scale-up"), engine: "level", cacheMiB: 4 },
        processing: { guarantee, commitIntervalMs: 20 },
        sessionTimeoutMs: SESSION_TIMEOUT_MS,
        logger,
      });
      t.after(() => worker.stop());
      await worker.start();
      return worker;
    };
    const first = await start();
    await waitFor("the first runs all", () => running(first).length === PARTITIONS);

    const feeder = feed(t, log, source);
    const watch = watchCommits(t, { log, groupId: applicationId, topic: source, worker: first });
    await waitFor("all partitions are committed", () => watch.commitTimes.every((times) => times.length > 2));
    const joinedAt = performance.now();
    const second = await start();
    await waitFor("each runs half", () => running(first).length === 2 && running(second).length === 2, { deadlineMs: 60_000 });
    const sharedAt = performance.now();
    const stayed = running(first);
    await waitFor("all partitions are committed by their owners", () => watch.commitTimes.every((times) => (times.at(-1) ?? 0) > sharedAt));
    const rounds = await feeder.stop();
    await waitUntilDrained(log, applicationId, source);
    await watch.stop();
    await Promise.all([first.stop(), second.stop()]);

    for (const taskId of stayed) {
      assert.deepEqual([...(watch.statuses.get(taskId) ?? [])], ["running"], `task ${taskId} stayed and was never anything but running`);
      const meanwhile = watch.commitTimes[partitionOf(taskId)].filter((at) => at > joinedAt && at < sharedAt);
      assert.ok(meanwhile.length > 0, `task ${taskId} stayed and committed while the group rebalanced`);
    }
    for (const [partition, times] of watch.commitTimes.entries())
      t.diagnostic(`0_${partition} ${stayed.includes(`0_${partition}`) ? "stays" : "moves"}: gaps between commits ${histogram(times)}`);
    assertExact(await readTopic(log, sink), rounds);
  });
}

function running(worker: Worker): string[] {
  return worker.queries.worker().tasks.flatMap(({ taskId, status }) => (status === "running" ? [taskId] : []));
}

function partitionOf(taskId: string): number {
  return Number(taskId.split("_")[1]);
}

/** One record for each key at a time, until stopped. Returns the number of rounds. */
function feed(t: TestContext, log: EventLog, topic: string): { stop(): Promise<number> } {
  const writer = log.plainWriter({});
  let stopped = false;
  const loop = (async () => {
    let rounds = 0;
    for (; !stopped; rounds++) {
      const set = new RecordSet(100_000);
      for (let key = 0; key < KEYS; key++) {
        const bytes = Buffer.from(`k${key}`);
        set.partition(topic, key % PARTITIONS).append(rounds, bytes, 0, bytes.length, bytes, 0, bytes.length);
      }
      await writer.write(set);
    }
    await writer.close();
    return rounds;
  })();
  const stop = (): Promise<number> => {
    stopped = true;
    return loop;
  };
  t.after(stop);
  return { stop };
}

/** When each partition's committed offset was seen to move (performance.now()), and in which statuses the worker's tasks were seen. */
function watchCommits(
  t: TestContext,
  { log, groupId, topic, worker }: { log: EventLog; groupId: string; topic: string; worker: Worker },
): { commitTimes: number[][]; statuses: Map<string, Set<string>>; stop(): Promise<void> } {
  const partitions = Array.from({ length: PARTITIONS }, (_, partition) => ({ topic, partition }));
  const commitTimes = partitions.map((): number[] => []);
  const statuses = new Map<string, Set<string>>();
  const last = new Map<number, number>();
  let stopped = false;
  const loop = (async () => {
    while (!stopped) {
      for (const { partition, offset } of await log.admin.groupOffsets(groupId, partitions)) {
        if (last.get(partition) !== offset) commitTimes[partition].push(performance.now());
        last.set(partition, offset);
      }
      for (const { taskId, status } of worker.queries.worker().tasks) statuses.set(taskId, (statuses.get(taskId) ?? new Set()).add(status));
    }
  })();
  const stop = (): Promise<void> => {
    stopped = true;
    return loop;
  };
  t.after(stop);
  return { commitTimes, statuses, stop };
}

/** "<50 ms: 120, <200 ms: 3, max 130 ms" */
function histogram(times: readonly number[]): string {
  const gaps = times.slice(1).map((at, index) => at - times[index]);
  const counts = [50, 200, 500, 1_000, Infinity].map((bound, index, bounds) => {
    const from = index === 0 ? 0 : bounds[index - 1];
    return `<${bound} ms: ${gaps.filter((gap) => gap >= from && gap < bound).length}`;
  });
  return `${counts.join(", ")}; longest ${Math.round(Math.max(...gaps))} ms`;
}

function assertExact(records: readonly LogRecord[], rounds: number): void {
  const byKey = new Map<string, number[]>();
  for (const { key, value } of records) {
    const counts = byKey.get(String(key)) ?? [];
    counts.push(Number(String(value)));
    byKey.set(String(key), counts);
  }
  assert.equal(byKey.size, KEYS);
  const wanted = Array.from({ length: rounds }, (_, index) => index + 1);
  for (const [key, counts] of byKey) assert.deepEqual(counts, wanted, `${key}: each count once and in order`);
}
