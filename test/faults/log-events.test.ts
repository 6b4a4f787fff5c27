/** What people do to topics under a running application: each has one clear outcome, and none is a loop. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { need } from "../support/need.ts";
import { runCommand } from "../support/run-command.ts";
import { sharedKafka } from "../support/shared-kafka.ts";
import { partitionsOf } from "../support/telemetry.ts";
import { tempDir } from "../support/temp-dir.ts";
import { JobUnderFaults } from "./job-under-faults.ts";

const skip = await need("kafka", "kcat");
const PARTITIONS = 2;
const EVENTS = 1_000;
/** Records of each partition that retention leaves. */
const LEFT = 100;

async function newJob(t: TestContext, config?: Readonly<Record<string, unknown>>): Promise<JobUnderFaults> {
  return JobUnderFaults.create(t, { kafka: await sharedKafka(), partitions: PARTITIONS, devices: 20, seed: 1, events: 3 * EVENTS, config });
}

async function kafkaTool(mainClass: string, ...args: readonly string[]): Promise<void> {
  const { libsDir, bootstrapServers } = await sharedKafka();
  const options = ["-Xmx128m", "-XX:TieredStopAtLevel=1", "-cp", `${libsDir}/*`, mainClass, "--bootstrap-server", bootstrapServers];
  const { code, stdout, stderr } = await runCommand("java", [...options, ...args], { timeoutMs: 60_000 });
  assert.equal(code, 0, `${String(stdout)}${stderr}`);
}

/** What retention does while a worker is away. */
async function deleteRecords(t: TestContext, topic: string, offsets: readonly number[]): Promise<void> {
  const file = join(tempDir(t, "delete-records"), "offsets.json");
  writeFileSync(file, JSON.stringify({ version: 1, partitions: offsets.map((offset, partition) => ({ topic, partition, offset })) }));
  await kafkaTool("org.apache.kafka.tools.DeleteRecordsCommand", "--offset-json-file", file);
}

/** The raw topic is at its first third in the group's offsets, and retention has left the last hundred records of each partition. */
async function jobBehindRetention(t: TestContext, offsetReset: string): Promise<JobUnderFaults> {
  const job = await newJob(t, { processing: { commitIntervalMs: 20, offsetReset } });
  await job.fleet.start("w1");
  await job.write(EVENTS);
  await job.drained();
  await job.fleet.stop("w1");
  await job.write(2 * EVENTS);
  const ends = await job.log.admin.listOffsets(await partitionsOf(job.log, job.topics.raw), "latest", "read_committed");
  await deleteRecords(
    t,
    job.topics.raw,
    ends.map(({ offset }) => offset - LEFT),
  );
  await job.fleet.start("w1");
  return job;
}

test(
  "records deleted before they were read, offsetReset fail: the worker ends with exit code 1 and says why",
  { skip, timeout: 90_000 },
  async (t) => {
    const job = await jobBehindRetention(t, "fail");
    const worker = job.fleet.get("w1");
    assert.equal((await worker.exited).code, 1);
    assert.match(worker.stderr(), /OFFSET_OUT_OF_RANGE/);
  },
);

test(
  "records deleted before they were read, offsetReset earliest: it says so and goes on with the oldest there is, all of it once",
  { skip, timeout: 90_000 },
  async (t) => {
    const job = await jobBehindRetention(t, "earliest");
    await job.drained();
    const worker = job.fleet.get("w1");
    assert.match(worker.stderr() + worker.stdout(), /"policy":"earliest".*going on elsewhere/);
    const id = (bytes: Buffer | null): string => {
      const { deviceId, bootId, seq } = JSON.parse(String(bytes)) as { deviceId: string; bootId: string; seq: number };
      return `${deviceId} ${bootId} ${seq}`;
    };
    const there = (await job.read(job.topics.raw)).map(({ value }) => id(value));
    const normalized = (await job.read(job.topics.normalized)).map(({ value }) => id(value));
    assert.equal(there.length, PARTITIONS * LEFT);
    assert.equal(new Set(normalized).size, normalized.length, "nothing twice");
    assert.deepEqual(
      [...new Set(there)].filter((event) => !normalized.includes(event)),
      [],
      "nothing that is there is left out",
    );
  },
);

test("a source topic deleted under a running worker: it ends with exit code 1, naming the topic", { skip, timeout: 90_000 }, async (t) => {
  const job = await newJob(t);
  await job.fleet.start("w1");
  await job.write(EVENTS);
  await job.drained();
  await job.log.admin.deleteTopics([job.topics.raw]);
  const worker = job.fleet.get("w1");
  assert.equal((await worker.exited).code, 1);
  assert.match(worker.stderr(), new RegExp(`${job.topics.raw}.*UNKNOWN_TOPIC_OR_PARTITION`));
});

test(
  "more partitions of a source than its changelogs have: refused at start, saying what does not fit",
  { skip, timeout: 90_000 },
  async (t) => {
    const job = await newJob(t);
    await job.fleet.start("w1");
    await job.write(EVENTS);
    await job.drained();
    await job.fleet.stop("w1");
    await kafkaTool("org.apache.kafka.tools.TopicCommand", "--alter", "--topic", job.topics.raw, "--partitions", String(PARTITIONS + 1));
    await job.fleet.start("w1");
    const worker = job.fleet.get("w1");
    assert.equal((await worker.exited).code, 1);
    assert.match(worker.stderr() + worker.stdout(), /changelog has 2 partitions where 3 are needed/);
  },
);
