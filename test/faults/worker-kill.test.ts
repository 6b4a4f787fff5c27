/**
 * Two workers on a real Kafka, killed with -9 at random moments under load and restarted. Outputs are read with kcat under
 * read_committed and compared, record by record, with those of an undisturbed run over the same raw topic.
 * SLUICE_SEED repeats a run; SLUICE_KILLS makes it longer (scripts/soak-worker-kill.ts).
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { pino } from "pino";
import { generateFleet } from "../../cli/simulate/fleet.ts";
import { KafkaLog } from "../../eventlog/kafka/kafka-log.ts";
import { consumeAll } from "../support/console-consumer.ts";
import { need } from "../support/need.ts";
import { sharedKafka } from "../support/shared-kafka.ts";
import { spawnCli, type CliProcess } from "../support/spawn-cli.ts";
import { committedSum, createJobTopics, jobTopics, waitUntilDrained, writeRaw, type JobTopics } from "../support/telemetry.ts";
import { tempDir } from "../support/temp-dir.ts";
import { uniqueName } from "../support/unique-name.ts";
import { waitFor } from "../support/wait-for.ts";

const skip = await need("kafka", "kcat");
const KILLS = Number(process.env.SLUICE_KILLS ?? 12);
const EVENTS_PER_KILL = 6_000;
const seed = Number(process.env.SLUICE_SEED ?? Date.now() % 1_000_000);
const PARTITIONS = 4;

test(`${KILLS} kill -9 of two workers lose and double nothing (seed ${seed})`, { skip, timeout: 1_800_000 }, async (t) => {
  t.diagnostic(`seed ${seed}`);
  const random = seededRandom(seed);
  const kafka = await sharedKafka();
  const log = new KafkaLog({ brokers: kafka.bootstrap, clientId: "worker-kill-test", logger: pino({ level: "silent" }) });
  t.after(() => log.close());
  const raw = jobTopics().raw;
  const calm: JobTopics = { ...jobTopics(), raw };
  const disturbed: JobTopics = { ...jobTopics(), raw };
  await createJobTopics(log, calm, PARTITIONS);
  await createJobTopics(log, { ...disturbed, raw: calm.raw }, PARTITIONS);

  const count = (KILLS + 2) * EVENTS_PER_KILL;
  const fleet = generateFleet({
    seed,
    tenant: "demo",
    devices: 300,
    count,
    rate: 3_000,
    startTs: Date.now() - 600_000,
    duplicates: 0.1,
    duplicateDistance: 5_000,
    reorder: 0.05,
    gaps: 0.01,
    reboots: 0.001,
  });
  const total = await writeRaw(
    log,
    raw,
    (function* () {
      for (const event of fleet.events())
        yield { tenant: event.tenant, deviceId: event.deviceId, value: event.bytes, receivedTs: Math.floor(event.sendAtMs) };
    })(),
  );

  const group = uniqueName("disturbed");
  const stateDir = tempDir(t, "worker-kill");
  const start = (name: string, applicationId: string, topics: JobTopics): Promise<CliProcess> =>
    spawnCli(t, ["worker"], {
      config: {
        applicationId,
        instanceId: name,
        kafka: { brokers: kafka.bootstrap, sessionTimeoutMs: 6_000 },
        topics,
        windows: [{ sizeMs: 1_000, graceMs: 500, idleMs: 1_000 }],
        rules: [{ name: "hot", metric: "temperature_c", above: 22, clearBelow: 21 }],
        // one small commit at a time, so that kills fall into all its steps
        processing: { commitIntervalMs: 20 },
        state: { dir: join(stateDir, applicationId === group ? name : "calm"), cacheMiB: 8 },
        http: { port: 0 },
      },
    });

  const workers = new Map<string, CliProcess>();
  for (const name of ["w1", "w2"]) workers.set(name, await start(name, group, disturbed));
  for (let kill = 0; kill < KILLS; kill++) {
    const threshold = Math.min(total - 1, Math.floor((kill + random()) * EVENTS_PER_KILL) + 1);
    let dead: [string, CliProcess] | undefined;
    const reached = async (): Promise<boolean> => {
      dead = [...workers].find(([, worker]) => !worker.running());
      return dead !== undefined || (await committedSum(log, group, raw)) >= threshold;
    };
    await waitFor(`${threshold} events are committed`, reached, {
      deadlineMs: 120_000,
      intervalMs: 1 + Math.floor(random() * 40),
    });
    assert.ok(dead === undefined, `no worker ended by itself: ${dead === undefined ? "" : dead[1].stderr() + dead[1].stdout()}`);
    const name = random() < 0.5 ? "w1" : "w2";
    await workers.get(name)?.kill("SIGKILL");
    const worker = await start(name, group, disturbed);
    workers.set(name, worker);
  }
  await waitUntilDrained(log, group, raw, 300_000);
  for (const worker of workers.values()) assert.equal((await worker.stop()).code, 0, worker.stderr());

  const calmGroup = uniqueName("calm");
  const calmWorker = await start("calm", calmGroup, calm);
  await waitUntilDrained(log, calmGroup, raw, 300_000);
  assert.equal((await calmWorker.stop()).code, 0, calmWorker.stderr());

  for (const kind of ["normalized", "aggregates", "alerts"] as const) {
    const expected = await outputs(kafka.bootstrapServers, calm[kind]);
    const actual = await outputs(kafka.bootstrapServers, disturbed[kind]);
    assert.ok(expected.length > 0, `the undisturbed run wrote ${kind}`);
    t.diagnostic(`${kind}: ${actual.length} records, ${expected.length} expected`);
    assert.equal(actual.length, expected.length, `${kind}: none lost, none doubled`);
    assert.deepEqual(actual, expected, `${kind}: the same records`);
  }
});

/** Sorted: which window of two devices closes first is not part of the promise. */
async function outputs(bootstrap: string, topic: string): Promise<string[]> {
  return (await consumeAll(bootstrap, topic)).map((record) => `${record.partition} ${String(record.key)} ${String(record.value)}`).sort();
}

function seededRandom(from: number): () => number {
  let state = from;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 4_294_967_296;
  };
}
