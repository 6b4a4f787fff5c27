/** Output that its topic does not take, because the topic takes less than the worker knew: a dead letter, not a loop. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { pino } from "pino";
import { EmbeddedLog } from "../../../eventlog/embedded/embedded-log.ts";
import { Worker } from "../../../runtime/worker.ts";
import type { WorkerOptions } from "../../../runtime/worker-options.ts";
import { recordSet, write } from "../../contract/eventlog-helpers.ts";
import { FaultyLog } from "../../support/faulty-log.ts";
import { keepingTopology } from "../../support/keeping-topology.ts";
import { readTopic, waitUntilDrained } from "../../support/telemetry.ts";
import { tempDir } from "../../support/temp-dir.ts";

/** What the topics take. */
const LIMIT_BYTES = 4_000;
/** What the worker is told that they take. */
const KAFKA_DEFAULT_BYTES = 1_048_588;

interface Setup {
  readonly log: EmbeddedLog;
  readonly faults: FaultyLog;
  readonly worker: Worker;
  readonly feed: (records: readonly (readonly [key: string, value: string])[]) => Promise<void>;
  readonly texts: (topic: string) => Promise<[string, string][]>;
  readonly recoveries: () => Promise<number>;
}

/** @param limits real max.message.bytes by topic; the worker is told Kafka's default */
async function setUp(t: TestContext, limits: Readonly<Record<string, number>>, options: Partial<WorkerOptions> = {}): Promise<Setup> {
  const log = await EmbeddedLog.open({ dir: tempDir(t, "too-large-log") });
  const faults = new FaultyLog(log);
  const topics = ["in", "out", "dlq", "app-last-changelog"];
  await log.admin.createTopics(
    topics.map((name) => ({
      name,
      partitions: 1,
      config: {
        "max.message.bytes": String(limits[name] ?? KAFKA_DEFAULT_BYTES),
        ...(name.endsWith("changelog") ? { "cleanup.policy": "compact" } : {}),
      },
    })),
  );
  for (const name of topics) faults.describedLimits.set(name, KAFKA_DEFAULT_BYTES);
  const worker = new Worker({
    applicationId: "app",
    topology: keepingTopology("in", "out"),
    log: faults.log,
    state: { dir: tempDir(t, "too-large-state"), engine: "memory", cacheMiB: 4 },
    processing: { guarantee: "exactly-once", commitIntervalMs: 10 },
    sessionTimeoutMs: 5_000,
    deadLetterTopic: "dlq",
    logger: pino({ level: process.env.TEST_LOG ?? "silent" }),
    ...options,
  });
  t.after(() => worker.stop().then(() => log.close()));
  return {
    log,
    faults,
    worker,
    feed: async (records) =>
      void (await write(
        log,
        recordSet(
          "in",
          records.map(([key, value]) => ({ key, value })),
        ),
      )),
    texts: async (topic) => (await readTopic(log, topic)).map(({ key, value }) => [String(key), String(value)]),
    recoveries: async () =>
      [...(await worker.registry.metrics()).matchAll(/^sluice_recoveries_total\{\S+\} (\d+)/gm)].reduce((sum, [, n]) => sum + Number(n), 0),
  };
}

const small = Array.from({ length: 100 }, (_, i) => [`k${i}`, `${i} `.padEnd(100, ".")] as const);
const large = ["large", "x".repeat(LIMIT_BYTES)] as const;

for (const guarantee of ["exactly-once", "at-least-once"] as const)
  for (const knows of [true, false])
    test(`a limit lowered under a running worker, ${knows ? "and known when asked for" : "though the log still tells the old one"}: what fits goes on in smaller batches, what does not is a whole dead letter (${guarantee})`, async (t) => {
      const { faults, worker, feed, texts, log, recoveries } = await setUp(
        t,
        { out: LIMIT_BYTES },
        { processing: { guarantee, commitIntervalMs: 10 } },
      );
      await worker.start();
      if (knows) faults.describedLimits.delete("out");
      await feed([...small, large, ...small]);
      await waitUntilDrained(log, "app", "in");
      assert.deepEqual(await texts("out"), [...small, ...small]);
      assert.deepEqual(await texts("dlq"), [large]);
      const [letter] = await readTopic(log, "dlq");
      assert.equal(letter.headers.get("dlq.reason"), "record-too-large");
      assert.equal(letter.headers.get("dlq.source"), "in/0/100");
      assert.equal(worker.state, "RUNNING");
      const before = await recoveries();
      await feed([...small, large]);
      await waitUntilDrained(log, "app", "in");
      assert.equal(await recoveries(), before, "it has learnt");
      assert.equal((await texts("dlq")).length, 2);
    });

test("a record that only its headers make too large is found out too", async (t) => {
  const { worker, feed, texts, log } = await setUp(t, { out: 200_000 });
  await worker.start();
  await feed([["a", "1"], ["wide", "250000"], ["b", "2"]]); // prettier-ignore
  await waitUntilDrained(log, "app", "in");
  assert.deepEqual((await texts("out")).map(([key]) => key), ["a", "b"]); // prettier-ignore
  assert.deepEqual(await texts("dlq"), [["wide", "250000"]]);
});

test("a letter is cut to what the dead-letter topic takes, and says so", async (t) => {
  const { worker, feed, log } = await setUp(t, { out: LIMIT_BYTES, dlq: 2_000 });
  await worker.start();
  await feed([large, ["wide", "5000"], ["after", "x"]]); // prettier-ignore
  await waitUntilDrained(log, "app", "in");
  const [cut, bare, ...others] = await readTopic(log, "dlq");
  assert.equal(others.length, 0);
  assert.match(String(cut.value), /^x{500,1999}$/);
  assert.equal(cut.headers.get("dlq.length"), String(LIMIT_BYTES));
  assert.equal(String(bare.value), "5000");
  assert.match(bare.headers.get("dlq.message") ?? "", /^\(headers left out\) a record of/);
  assert.equal(worker.state, "RUNNING");
});

test("a dead-letter topic that takes no letter at all ends the worker, naming the setting", async (t) => {
  const { faults, worker, feed } = await setUp(t, { out: LIMIT_BYTES, dlq: 200 });
  await worker.start();
  faults.describedLimits.delete("dlq");
  await feed([large]);
  await assert.rejects(worker.finished, { code: "record-too-large", message: /dead-letter topic takes records of .*max\.message\.bytes/ });
});

test("rows that no longer fit one changelog batch go in several", async (t) => {
  const { worker, feed, texts, log } = await setUp(t, { "app-last-changelog": LIMIT_BYTES });
  await worker.start();
  const rows = small.map(([key, value]) => [`row-${key}`, value] as const);
  await feed(rows);
  await waitUntilDrained(log, "app", "in");
  assert.equal((await texts("app-last-changelog")).length, rows.length);
  assert.equal(worker.state, "RUNNING");
});

test("a row over its changelog's limit ends the worker at once, naming store, key, size and setting", async (t) => {
  const { faults, worker, feed, texts } = await setUp(t, { "app-last-changelog": LIMIT_BYTES });
  await worker.start();
  faults.describedLimits.delete("app-last-changelog");
  await feed([["row-1", "x"], ["row-2", "y".repeat(LIMIT_BYTES)], ["row-3", "z"]]); // prettier-ignore
  await assert.rejects(worker.finished, {
    code: "row-too-large",
    message:
      /^a row of store "last" takes 4\d{3} bytes, and its changelog app-last-changelog at most 4000 \(max\.message\.bytes\).* under key "row-2"$/,
  });
  assert.deepEqual(await texts("out"), [], "nothing of the commit is visible");
});
