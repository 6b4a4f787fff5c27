/** `sluice reset` and `sluice replay` on a real Kafka, beside the outputs of the run before. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { pino } from "pino";
import { KafkaLog } from "../../eventlog/kafka/kafka-log.ts";
import type { EventLog } from "../../eventlog/port.ts";
import { changelogTopic } from "../../state/changelog.ts";
import { need } from "../support/need.ts";
import { sharedKafka } from "../support/shared-kafka.ts";
import { runCli, spawnCli } from "../support/spawn-cli.ts";
import { committedSum, createJobTopics, jobTopics, partitionsOf, readTopic, waitUntilDrained, writeRaw } from "../support/telemetry.ts";
import type { RawEvent } from "../support/telemetry.ts";
import { tempDir } from "../support/temp-dir.ts";
import { uniqueName } from "../support/unique-name.ts";

const skip = await need("kafka");
const PARTITIONS = 2;
const EVENTS = 3_000;
const START = Date.UTC(2026, 0, 1);
const EVERY_MS = 500;

test(
  "a replay into its own topics gives the same records, a reset makes the job begin anew, and neither runs beside a worker",
  { skip, timeout: 240_000 },
  async (t) => {
    const kafka = await sharedKafka();
    const log = new KafkaLog({ brokers: kafka.bootstrap, clientId: "reset-replay", logger: pino({ level: "silent" }) });
    t.after(() => log.close());
    const topics = jobTopics();
    await createJobTopics(log, topics, PARTITIONS);
    await writeRaw(log, topics.raw, readings());
    const [applicationId, dir] = [uniqueName("reset"), tempDir(t, "reset")];
    const config = {
      applicationId,
      kafka: { brokers: kafka.bootstrap },
      topics,
      windows: [{ sizeMs: 10_000, graceMs: 0, idleMs: 20_000 }],
      state: { dir },
      http: { port: 0 },
    };
    const sluice = (...args: string[]) => runCli(t, args, { config });

    const worker = await spawnCli(t, ["worker"], { config });
    await waitUntilDrained(log, applicationId, topics.raw);
    const refused = await sluice("reset", "--yes", "--json");
    assert.equal(refused.code, 1);
    assert.equal((JSON.parse(lastLine(refused.stderr)) as { error: { code: string } }).error.code, "group-has-members");
    assert.equal((await worker.stop()).code, 0);
    const first = { normalized: await texts(log, topics.normalized), aggregates: await texts(log, topics.aggregates) };
    assert.ok(first.normalized.length === EVENTS && first.aggregates.length > 100);

    const unfit = await sluice("replay", "--from", "earliest", "--json");
    assert.equal(unfit.code, 1);
    assert.match(unfit.stderr, /not-reset/);

    const into = await sluice("replay", "--from", "earliest", "--into", "r1", "--json");
    assert.equal(into.code, 0, into.stderr);
    assert.equal((JSON.parse(into.stdout) as { records: number }).records, EVENTS);
    assert.deepEqual(await texts(log, `${topics.normalized}.r1`), first.normalized);
    assert.deepEqual(await texts(log, `${topics.aggregates}.r1`), first.aggregates);
    assert.equal((await texts(log, topics.normalized)).length, EVENTS, "the job's own topics are untouched");
    assert.ok(!existsSync(join(dir, `${applicationId}-r1`)), "nothing of it stays but its topics");
    const again = await sluice("replay", "--from", "earliest", "--into", "r1", "--json");
    assert.match(again.stderr, /replay-topics-in-use/);

    const changelog = changelogTopic(applicationId, "ledger");
    const exists = async () => (await log.admin.describeTopics([changelog])).length === 1;
    const plan = await sluice("reset", "--json");
    assert.equal(plan.code, 0, plan.stderr);
    const planned = JSON.parse(plan.stdout) as { done: boolean; topics: string[]; state: string; offsets: { from: number; to: number }[] };
    assert.equal(planned.done, false);
    assert.ok(planned.topics.includes(changelog) && planned.state === join(dir, applicationId));
    assert.ok(planned.offsets.every(({ from, to }) => from > 0 && to === 0));
    assert.ok((await exists()) && existsSync(join(dir, applicationId)), "a plan changes nothing");

    const reset = await sluice("reset", "--yes", "--json");
    assert.equal(reset.code, 0, reset.stderr);
    assert.ok(!(await exists()) && !existsSync(join(dir, applicationId)));
    assert.equal(await committedSum(log, applicationId, topics.raw), 0);

    // into the same outputs, up to a time: what came before it is there twice now
    const until = new Date(START + (EVENTS / 3) * EVERY_MS).toISOString();
    const same = await sluice("replay", "--from", "earliest", "--to", until, "--json");
    assert.equal(same.code, 0, same.stderr);
    assert.equal(await committedSum(log, applicationId, topics.raw), EVENTS / 3);
    assert.equal((await texts(log, topics.normalized)).length, EVENTS + EVENTS / 3);
    const next = await spawnCli(t, ["worker"], { config });
    await waitUntilDrained(log, applicationId, topics.raw);
    assert.equal((await next.stop()).code, 0);
    assert.equal((await texts(log, topics.normalized)).length, 2 * EVENTS, "a worker goes on where the replay ended");

    const late = await sluice("reset", "--yes", "--to", "latest");
    assert.equal(late.code, 0, late.stderr);
    assert.equal(await committedSum(log, applicationId, topics.raw), EVENTS);
  },
);

test("a replay that is told to stop ends cleanly, and the same command goes on where it was", { skip, timeout: 120_000 }, async (t) => {
  const kafka = await sharedKafka();
  const log = new KafkaLog({ brokers: kafka.bootstrap, clientId: "replay-stop", logger: pino({ level: "silent" }) });
  t.after(() => log.close());
  const topics = jobTopics();
  await createJobTopics(log, topics, PARTITIONS);
  const events = 60_000;
  await writeRaw(log, topics.raw, readings(events));
  const config = {
    applicationId: uniqueName("replay-stop"),
    kafka: { brokers: kafka.bootstrap },
    topics,
    state: { dir: tempDir(t, "replay-stop") },
  };
  const replay = ["replay", "--from", "earliest", "--into", "r1", "--json"];
  const first = await spawnCli(t, replay, { config });
  await first.waitForOutput(/of 60000/);
  assert.equal((await first.stop()).code, 1, first.stderr());
  assert.match(first.stderr(), /the same command goes on from here/);
  assert.equal(first.stdout(), "", "no result");
  const second = await runCli(t, replay, { config });
  assert.equal(second.code, 0, second.stderr);
  const normalized = await texts(log, `${topics.normalized}.r1`);
  assert.equal(normalized.length, events);
  assert.equal(new Set(normalized).size, events, "each once");
});

test("what is no position is wrong usage", async (t) => {
  for (const args of [["reset", "--to", "yesterday"], ["replay"], ["replay", "--from", "earliest", "--into", "a/b"]])
    assert.equal((await runCli(t, args)).code, 2, args.join(" "));
});

/** Four devices; every event is its own record, none late. */
function* readings(events = EVENTS): Generator<RawEvent> {
  for (let n = 0; n < events; n++) {
    const [deviceId, ts] = [`d${n % 4}`, START + n * EVERY_MS];
    const value = Buffer.from(JSON.stringify({ deviceId, bootId: "b", seq: Math.floor(n / 4), ts, tempC: 20 + (n % 10) }));
    yield { tenant: "demo", deviceId, value, receivedTs: ts };
  }
}

/** Partition, key and value of every record, in order. */
async function texts(log: EventLog, topic: string): Promise<string[]> {
  assert.equal((await partitionsOf(log, topic)).length, PARTITIONS);
  return (await readTopic(log, topic)).map(({ partition, key, value }) => `${partition} ${String(key)} ${String(value)}`);
}

function lastLine(text: string): string {
  return text.trim().split("\n").at(-1) ?? "";
}
