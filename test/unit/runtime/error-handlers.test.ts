/** What becomes of records that cannot be read, processed or written. */
import assert from "node:assert/strict";
import { describe, test, type TestContext } from "node:test";
import { pino } from "pino";
import { EmbeddedLog } from "../../../eventlog/embedded/embedded-log.ts";
import type { ErrorHandlers, RecordFailure } from "../../../runtime/error-handlers.ts";
import { TopologyTestDriver } from "../../../runtime/test-driver.ts";
import { Worker } from "../../../runtime/worker.ts";
import { serdes } from "../../../state/serdes.ts";
import { StreamsBuilder } from "../../../topology/streams-builder.ts";
import type { Topology } from "../../../topology/topology.ts";
import { recordSet, write } from "../../contract/eventlog-helpers.ts";
import { readTopic, waitUntilDrained } from "../../support/telemetry.ts";
import { tempDir } from "../../support/temp-dir.ts";

const texts = { key: serdes.string, value: serdes.string };

/** Values are JSON texts; "boom" makes the processor throw; any other comes out as it is. */
function echo(): Topology {
  const builder = new StreamsBuilder();
  builder
    .stream("in", { key: serdes.string, value: serdes.json<string>() })
    .mapValues((value) => {
      if (value === "boom") throw new Error("boom");
      return value;
    })
    .to("out", texts);
  return builder.build();
}

async function run(t: TestContext, values: readonly string[], handlers: ErrorHandlers, deadLetterTopic?: string) {
  const driver = await TopologyTestDriver.create(echo(), { handlers, deadLetterTopic, maxMessageBytes: 100_000 });
  t.after(() => driver.close());
  for (const value of values) void driver.pipe("in", { key: "k", value, timestamp: 1 });
  return driver;
}

const BROKEN = "{broken";
const THROWN_AT = '"boom"';
const TOO_LARGE = JSON.stringify("x".repeat(100_000));
const CASES = [
  ["onDecodeError", BROKEN],
  ["onProcessingError", THROWN_AT],
  ["onProductionError", TOO_LARGE],
] as const;

for (const [setting, value] of CASES) {
  describe(setting, () => {
    test("continue leaves that record out and goes on, with or without a dead-letter topic", async (t) => {
      for (const topic of [undefined, "dlq"]) {
        const driver = await run(t, [value, '"next"'], { [setting]: "continue" }, topic);
        assert.deepEqual(
          driver.output("out").map((record) => String(record.value)),
          ["next"],
        );
        assert.deepEqual(driver.output("dlq"), []);
      }
    });
    test("dead-letter is the default with a dead-letter topic", async (t) => {
      const driver = await run(t, [value, '"next"'], {}, "dlq");
      assert.deepEqual(
        driver.output("out").map((record) => String(record.value)),
        ["next"],
      );
      assert.equal(driver.output("dlq").length, 1);
    });
    test("fail stops at it, and is the default without a dead-letter topic", async (t) => {
      await assert.rejects(run(t, [value], { [setting]: "fail" }, "dlq"), { code: "processing-failed" });
      await assert.rejects(run(t, [value], {}), { code: "processing-failed" });
    });
    test("a function decides per record, and is told what failed where", async (t) => {
      const failures: RecordFailure[] = [];
      const handler = (failure: RecordFailure) => (failures.push(failure) === 1 ? "continue" : "dead-letter");
      const driver = await run(t, [value, value], { [setting]: handler }, "dlq");
      assert.equal(driver.output("dlq").length, 1);
      assert.deepEqual(
        failures.map(({ kind, topic, offset }) => [kind, topic, offset]),
        [0, 1].map((offset) => [setting.slice(2, -5).toLowerCase(), "in", offset]),
      );
    });
  });
}

test("the letter of a record that is too large holds its beginning, its length and hash, and where it came from", async (t) => {
  const driver = await run(t, [TOO_LARGE], {}, "dlq");
  const [letter] = driver.output("dlq");
  assert.equal(String(letter.value), "x".repeat(65_536));
  const headers = Object.fromEntries(letter.headers.map(({ key, value }) => [key, String(value)]));
  assert.equal(headers["dlq.reason"], "record-too-large");
  assert.equal(headers["dlq.length"], "100000");
  assert.equal(headers["dlq.stage"], "sink-out-1");
  assert.equal(headers["dlq.source"], "in/0/0");
  assert.match(headers["dlq.message"], /topic out takes \(100000\)/);
});

test("a topic's max.message.bytes is known to the worker: what is over it does not fail the commit again and again", async (t) => {
  const log = await EmbeddedLog.open({ dir: tempDir(t, "too-large-log") });
  await log.admin.createTopics([
    { name: "in", partitions: 1, config: { "max.message.bytes": "3000000" } },
    { name: "out", partitions: 1, config: {} },
    { name: "dlq", partitions: 1, config: {} },
  ]);
  const worker = new Worker({
    applicationId: "app",
    topology: echo(),
    log,
    state: { dir: tempDir(t, "too-large-state"), engine: "memory", cacheMiB: 4 },
    processing: { guarantee: "exactly-once", commitIntervalMs: 10 },
    sessionTimeoutMs: 5_000,
    deadLetterTopic: "dlq",
    logger: pino({ level: "silent" }),
  });
  t.after(() => worker.stop().then(() => log.close()));
  await worker.start();
  const json = (text: string) => ({ value: JSON.stringify(text) });
  await write(log, recordSet("in", [json("before"), json("y".repeat(1_048_500)), json("z".repeat(1_048_400)), json("after")]));
  await waitUntilDrained(log, "app", "in");
  assert.deepEqual(
    (await readTopic(log, "out")).map(({ value }) => value?.length),
    [6, 1_048_400, 5],
    "the largest that fits, fits",
  );
  const [letter, ...others] = await readTopic(log, "dlq");
  assert.equal(others.length, 0);
  assert.equal(letter.headers.get("dlq.reason"), "record-too-large");
  assert.equal(worker.state, "RUNNING");
});
