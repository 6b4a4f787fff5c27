/** After kill -9 the state directory is taken up again: what is replayed is what was changed since the last checkpoint. */
import assert from "node:assert/strict";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { pino } from "pino";
import { KafkaLog } from "../../eventlog/kafka/kafka-log.ts";
import type { EventLog } from "../../eventlog/port.ts";
import type { TaskInfo } from "../../runtime/queries.ts";
import { changelogTopic } from "../../state/changelog.ts";
import { need } from "../support/need.ts";
import { sharedKafka } from "../support/shared-kafka.ts";
import { spawnCli, type CliProcess } from "../support/spawn-cli.ts";
import { createJobTopics, jobTopics, partitionsOf, waitUntilDrained, writeRaw, type RawEvent } from "../support/telemetry.ts";
import { tempDir } from "../support/temp-dir.ts";
import { uniqueName } from "../support/unique-name.ts";
import { waitFor } from "../support/wait-for.ts";

const skip = await need("kafka");
const PARTITIONS = 4;
const DEVICES = 500;
const EVENTS_BEFORE_CHECKPOINT = 30_000;
const EVENTS_AFTER_CHECKPOINT = 30;
const logger = pino({ level: "silent" });

test(
  "a worker killed after a checkpoint replays only what came after it, from the directory it had (KIP-892)",
  { skip, timeout: 140_000 },
  async (t) => {
    const kafka = await sharedKafka();
    const log = new KafkaLog({ brokers: kafka.bootstrap, clientId: "worker-restart-test", logger });
    t.after(() => log.close());
    const topics = jobTopics();
    await createJobTopics(log, topics, PARTITIONS);
    const [applicationId, dir] = [uniqueName("restart"), tempDir(t, "restart")];
    const config = {
      applicationId,
      instanceId: "w1",
      kafka: { brokers: kafka.bootstrap },
      topics,
      state: { dir },
      http: { port: 0 },
      log: { level: "info" },
    };
    const first = await spawnCli(t, ["worker"], { config });
    const [, url] = await first.waitForOutput(/"url":"(http:[^"]+)"/);
    await writeRaw(log, topics.raw, readings(0, EVENTS_BEFORE_CHECKPOINT));
    await waitUntilDrained(log, applicationId, topics.raw);
    const checkpointed = await waitFor("everything is checkpointed", () => ifCheckpointed(url), { deadlineMs: 60_000 });

    await writeRaw(log, topics.raw, readings(EVENTS_BEFORE_CHECKPOINT, EVENTS_AFTER_CHECKPOINT));
    await waitUntilDrained(log, applicationId, topics.raw);
    await first.kill("SIGKILL");
    const directories = identities(join(dir, applicationId));
    assert.equal(directories.size, PARTITIONS);

    const ends = await changelogEnds(log, applicationId, checkpointed);
    const whole = ends.reduce((sum, { end }) => sum + end, 0);
    const behind = ends.reduce((sum, { end, checkpoint }) => sum + end - checkpoint, 0);
    const second = await spawnCli(t, ["worker"], { config });
    const tasks = await restoredTasks(second);
    const restored = tasks.reduce((sum, task) => sum + task.restored, 0);
    const slowestMs = Math.max(...tasks.map((task) => task.ms));
    t.diagnostic(`replayed ${restored} of ${whole} changelog records (${behind} since the checkpoint) in ${slowestMs} ms`);
    assert.deepEqual(identities(join(dir, applicationId)), directories, "the same directories");
    assert.doesNotMatch(second.stderr(), /rebuilding this task/);
    assert.ok(restored <= behind, `${restored} replayed, ${behind} since the checkpoint`);
    assert.ok(behind < whole / 10, `${behind} since the checkpoint is a small part of ${whole}`);
    assert.equal((await second.stop()).code, 0);

    // What the figure would be had the directory been wiped: this test can tell.
    const wiped = await spawnCli(t, ["worker"], { config: { ...config, state: { dir: tempDir(t, "restart-wiped") } } });
    const rebuilt = (await restoredTasks(wiped)).reduce((sum, task) => sum + task.restored, 0);
    assert.ok(rebuilt > 10 * Math.max(1, behind), `${rebuilt} replayed from nothing`);
    assert.equal((await wiped.stop()).code, 0);
  },
);

function* readings(from: number, count: number): Generator<RawEvent> {
  const start = Date.now() - 3_600_000;
  for (let n = from; n < from + count; n++) {
    const [deviceId, ts] = [`d${n % DEVICES}`, start + n * 10];
    const value = Buffer.from(JSON.stringify({ deviceId, bootId: "b", seq: Math.floor(n / DEVICES), ts, tempC: 20 + (n % 10) }));
    yield { tenant: "demo", deviceId, value, receivedTs: ts };
  }
}

interface Checkpoint {
  readonly store: string;
  readonly partition: number;
  readonly position: number;
}

/** The checkpoint of every store, once none is behind its changelog. */
async function ifCheckpointed(url: string): Promise<Checkpoint[] | undefined> {
  const answer = await fetch(`${url}/v1/tasks`, { signal: AbortSignal.timeout(5_000) });
  const { workers } = (await answer.json()) as { workers: { tasks: TaskInfo[] }[] };
  const stores = workers.flatMap(({ tasks }) =>
    tasks.flatMap((task) => task.stores.map((store) => ({ ...store, partition: task.partition }))),
  );
  if (stores.length === 0 || stores.some((store) => store.checkpointPosition < store.changelogPosition)) return undefined;
  return stores.map(({ name, partition, checkpointPosition }) => ({ store: name, partition, position: checkpointPosition }));
}

async function changelogEnds(
  log: EventLog,
  applicationId: string,
  checkpoints: readonly Checkpoint[],
): Promise<{ end: number; checkpoint: number }[]> {
  const ends: { end: number; checkpoint: number }[] = [];
  for (const store of new Set(checkpoints.map((checkpoint) => checkpoint.store))) {
    const partitions = await partitionsOf(log, changelogTopic(applicationId, store));
    for (const { partition, offset } of await log.admin.listOffsets(partitions, "latest", "read_committed")) {
      const own = checkpoints.find((checkpoint) => checkpoint.store === store && checkpoint.partition === partition);
      ends.push({ end: offset, checkpoint: own?.position ?? 0 });
    }
  }
  return ends;
}

async function restoredTasks(worker: CliProcess): Promise<{ restored: number; ms: number }[]> {
  const lines = (): string[] =>
    worker
      .stderr()
      .split("\n")
      .filter((line) => line.includes('"task restored"'));
  await waitFor("every task is restored", () => lines().length >= PARTITIONS, { deadlineMs: 60_000 });
  return lines().map((line) => JSON.parse(line) as { restored: number; ms: number });
}

/** Inode and time of birth of each task's directory: a wiped and remade one differs. */
function identities(folder: string): Map<string, string> {
  return new Map(
    readdirSync(folder)
      .filter((name) => /^\d+_\d+$/.test(name))
      .sort()
      .map((name) => {
        const { ino, birthtimeMs } = statSync(join(folder, name));
        return [name, `${ino} ${birthtimeMs}`];
      }),
  );
}
