/** A worker that fails is replaced, or not. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { pino } from "pino";
import { EmbeddedLog } from "../../../eventlog/embedded/embedded-log.ts";
import { SupervisedWorker, type UncaughtAction } from "../../../runtime/supervised-worker.ts";
import { serdes } from "../../../state/serdes.ts";
import { StreamsBuilder } from "../../../topology/streams-builder.ts";
import { recordSet, write } from "../../contract/eventlog-helpers.ts";
import { readTopic, waitUntilDrained } from "../../support/telemetry.ts";
import { tempDir } from "../../support/temp-dir.ts";

const texts = { key: serdes.string, value: serdes.string };

/** The processor throws at "boom" so many times, and then lets it pass; without a dead-letter topic that fails the worker. */
async function setUp(t: TestContext, failures: number, onUncaught: UncaughtAction | ((error: Error) => UncaughtAction)) {
  const log = await EmbeddedLog.open({ dir: tempDir(t, "supervised-log") });
  await log.admin.createTopics(["in", "out"].map((name) => ({ name, partitions: 1, config: {} })));
  const seen = { failed: 0 };
  const builder = new StreamsBuilder();
  builder
    .stream("in", texts)
    .peek((value) => {
      if (value === "boom" && seen.failed < failures) throw new Error(`boom ${++seen.failed}`);
    })
    .to("out", texts);
  const worker = new SupervisedWorker({
    applicationId: "app",
    topology: builder.build(),
    log,
    state: { dir: tempDir(t, "supervised-state"), engine: "memory", cacheMiB: 4 },
    processing: { guarantee: "exactly-once", commitIntervalMs: 10 },
    sessionTimeoutMs: 5_000,
    logger: pino({ level: "silent" }),
    onUncaught,
    replaceDelayMs: 1,
  });
  t.after(() => worker.stop().then(() => log.close()));
  await worker.start();
  await write(
    log,
    recordSet(
      "in",
      ["a", "boom", "b"].map((value) => ({ value })),
    ),
  );
  return { log, worker, seen };
}

test("a worker that fails is replaced and nothing is lost or doubled; queries and metrics are the new one's", async (t) => {
  const { log, worker, seen } = await setUp(t, 3, "replace");
  await waitUntilDrained(log, "app", "in");
  assert.equal(seen.failed, 3);
  assert.deepEqual(
    (await readTopic(log, "out")).map(({ value }) => String(value)),
    ["a", "boom", "b"],
  );
  assert.equal(worker.state, "RUNNING");
  assert.equal(worker.queries.worker().state, "RUNNING");
  assert.match(await worker.registry.metrics(), /^sluice_worker_running 1$/m);
  await worker.stop();
  await worker.finished;
});

test("a worker that fails again and again is given up, with the last failure", async (t) => {
  const { worker, seen } = await setUp(t, Infinity, "replace");
  await assert.rejects(worker.finished, { code: "processing-failed" });
  assert.equal(seen.failed, 6, "the first and five replacements");
});

test("stop, or a handler that says so of this error, replaces nothing", async (t) => {
  const { worker, seen } = await setUp(t, Infinity, (error) => (error.message.includes("cannot be processed") ? "stop" : "replace"));
  await assert.rejects(worker.finished, { code: "processing-failed" });
  assert.equal(seen.failed, 1);
});
