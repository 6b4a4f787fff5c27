/** Two sub-topologies on a real Kafka, the worker killed with -9 at random moments: counts by the new key stay exact. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { pino } from "pino";
import { KafkaLog } from "../../eventlog/kafka/kafka-log.ts";
import { repartitionTopic } from "../../topology/repartition.ts";
import { spawnGuarded } from "../support/child-process.ts";
import { need } from "../support/need.ts";
import { sharedKafka } from "../support/shared-kafka.ts";
import { expectedSiteCounts, readSiteCounts, writeReadings } from "../support/site-counts.ts";
import { committedSum, partitionsOf, waitUntilDrained } from "../support/telemetry.ts";
import { tempDir } from "../support/temp-dir.ts";
import { uniqueName } from "../support/unique-name.ts";
import { waitFor } from "../support/wait-for.ts";

const skip = await need("kafka");
const CHILD = fileURLToPath(new URL("repartition-child.ts", import.meta.url));
const KILLS = 5;
const READINGS_PER_KILL = 4_000;
const PARTITIONS = 3;

test(`per-site counts over re-keyed readings are exact after ${KILLS} kill -9`, { skip, timeout: 120_000 }, async (t) => {
  const kafka = await sharedKafka();
  const log = new KafkaLog({ brokers: kafka.bootstrap, clientId: "repartition-kill", logger: pino({ level: "silent" }) });
  t.after(() => log.close());
  const [app, input, output] = [uniqueName("sites"), uniqueName("readings"), uniqueName("site-counts")];
  const between = repartitionTopic(app, "by-site");
  await log.admin.createTopics([
    // old event times: Kafka's retention goes by them
    { name: input, partitions: PARTITIONS, config: { "retention.ms": "-1" } },
    { name: output, partitions: 1, config: { "retention.ms": "-1" } },
  ]);
  const dir = tempDir(t, "repartition-kill");
  const start = async () => {
    const child = await spawnGuarded(process.execPath, [CHILD, kafka.bootstrap.join(","), app, input, output, dir], { output: "inherit" });
    t.after(() => child.stop());
    return child;
  };

  let worker = await start();
  for (let kill = 0; kill < KILLS; kill++) {
    await writeReadings(log, input, kill * READINGS_PER_KILL, READINGS_PER_KILL);
    // somewhere in the middle of either sub-topology's work
    const topic = kill % 2 === 0 ? input : between;
    const threshold = (kill + Math.random()) * READINGS_PER_KILL;
    const caughtUp = async () => (await committedSum(log, app, topic)) > threshold;
    await waitFor(`${app} is in the middle of ${topic}`, caughtUp, { deadlineMs: 60_000, intervalMs: 5 });
    await worker.kill("SIGKILL");
    worker = await start();
  }
  let written = KILLS * READINGS_PER_KILL;
  await waitFor(
    "what was processed is purged",
    async () => {
      await writeReadings(log, input, written, 100);
      written += 100;
      await waitUntilDrained(log, app, input, 60_000);
      await waitUntilDrained(log, app, between, 60_000);
      const starts = await log.admin.listOffsets(await partitionsOf(log, between), "earliest", "read_committed");
      return starts.every(({ offset }) => offset > 0);
    },
    { deadlineMs: 60_000 },
  );

  const [described] = await log.admin.describeTopics([between]);
  assert.equal(described.partitions, PARTITIONS, "as many as its source");
  assert.equal(described.config["cleanup.policy"], "delete");
  assert.deepEqual(new Map([...(await readSiteCounts(log, output))].sort()), expectedSiteCounts(written));
  assert.equal((await worker.stop()).code, 0);
});
