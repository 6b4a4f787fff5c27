/** KIP-671's SHUTDOWN_APPLICATION: one worker's failure stops all of them, and nobody who comes later. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { pino } from "pino";
import { EmbeddedLog } from "../../../eventlog/embedded/embedded-log.ts";
import { ApplicationShutdown, latestShutdown } from "../../../runtime/application-shutdown.ts";
import { SupervisedWorker } from "../../../runtime/supervised-worker.ts";
import { Worker } from "../../../runtime/worker.ts";
import { serdes } from "../../../state/serdes.ts";
import { StreamsBuilder } from "../../../topology/streams-builder.ts";
import { recordSet, write } from "../../contract/eventlog-helpers.ts";
import { readTopic, waitUntilDrained } from "../../support/telemetry.ts";
import { tempDir } from "../../support/temp-dir.ts";
import { waitFor } from "../../support/wait-for.ts";

test("a request that was there when a worker came is not obeyed, a later one is", () => {
  const first = new ApplicationShutdown();
  assert.equal(first.heard(undefined), undefined);
  assert.equal(first.heard("2026-01-01 w1: why"), "2026-01-01 w1: why");
  const later = new ApplicationShutdown();
  assert.equal(later.heard("2026-01-01 w1: why"), undefined);
  assert.equal(later.heard("2026-01-01 w1: why"), undefined, "whoever asked may still be a member");
  assert.equal(later.heard(undefined), undefined);
  assert.equal(later.heard("2026-01-02 w2: why not"), "2026-01-02 w2: why not");
});

test("the leader hands on the latest request: one that a dead member left behind hides no new one", () => {
  assert.equal(latestShutdown([{ shutdown: "2026-01-01 w1: a" }, {}, { shutdown: "2026-01-02 w2: b" }]), "2026-01-02 w2: b");
  assert.equal(latestShutdown([{}, {}]), undefined);
});

test("who asks joins again until the group has heard, and goes on with the request while it lingers", async () => {
  const shutdown = new ApplicationShutdown();
  shutdown.heard(undefined);
  let joins = 0;
  const told = shutdown.ask("w1", "x".repeat(5_000), () => joins++);
  assert.match(shutdown.request ?? "", /^20\d\d-\S+Z w1: x{1000}$/);
  shutdown.heard(undefined); // a rebalance that was under way
  shutdown.heard(shutdown.request);
  assert.equal(await told, true);
  assert.equal(joins, 1);
  const cancelled = new ApplicationShutdown();
  const never = cancelled.ask("w1", "why", () => undefined);
  cancelled.cancel();
  assert.equal(await never, false);
});

test("a failure that shuts the application down stops every worker, and says who asked and why; later workers run", async (t) => {
  const log = await EmbeddedLog.open({ dir: tempDir(t, "shutdown-log") });
  const partitions = 3;
  await log.admin.createTopics(["in", "out"].map((name) => ({ name, partitions, config: {} })));
  const texts = { key: serdes.string, value: serdes.string };
  let isBroken = true;
  const builder = new StreamsBuilder();
  builder
    .stream("in", texts)
    .peek((value) => {
      if (isBroken && value === "boom") throw new Error("no worker survives this");
    })
    .to("out", texts);
  const stops: (() => Promise<void>)[] = [];
  t.after(async () => {
    await Promise.all(stops.map((stop) => stop()));
    await log.close();
  });
  const options = (instanceId: string) => ({
    applicationId: "app",
    instanceId,
    topology: builder.build(),
    log,
    state: { dir: tempDir(t, "shutdown-state"), engine: "memory" as const, cacheMiB: 4 },
    processing: { guarantee: "exactly-once" as const, commitIntervalMs: 10 },
    sessionTimeoutMs: 60_000,
    logger: pino({ level: "silent" }),
  });
  const supervised = (instanceId: string, onUncaught: "shut-down-application" | "replace"): SupervisedWorker => {
    const worker = new SupervisedWorker({ ...options(instanceId), onUncaught, replaceDelayMs: 1 });
    stops.push(() => worker.stop());
    return worker;
  };
  const plain = (instanceId: string): Worker => {
    const worker = new Worker(options(instanceId));
    stops.push(() => worker.stop());
    return worker;
  };
  const write3 = (...values: string[]): Promise<unknown> =>
    write(
      log,
      recordSet(
        "in",
        values.map((value, partition) => ({ value, partition })),
      ),
    );
  // whoever gets the record asks; both would
  const [a, b, c] = [supervised("a", "shut-down-application"), supervised("b", "shut-down-application"), plain("c")];
  await a.start();
  await b.start();
  await c.start();
  const all = [a, b, c];
  const oneEach = (): boolean =>
    all.every(({ queries }) => queries.worker().tasks.filter(({ status }) => status === "running").length === 1);
  await waitFor("each has a task", oneEach);
  const partitionOf = (worker: SupervisedWorker): number => worker.queries.worker().tasks[0].partition;
  const values = ["x", "x", "x"];
  values[partitionOf(a)] = "boom";
  await write3(...values);

  await assert.rejects(a.finished, { code: "processing-failed" });
  const isTold = { code: "application-shut-down", message: /: 20\d\d-\S+Z a: .*no worker survives this/s };
  await assert.rejects(b.finished, isTold);
  await assert.rejects(c.finished, isTold);
  assert.deepEqual(
    all.map(({ state }) => state),
    ["ERROR", "ERROR", "ERROR"],
  );
  for (const stop of stops.splice(0)) await stop();

  // static members: the group still has the request in what it keeps of them, for a minute
  isBroken = false;
  const later = [plain("a"), supervised("b", "replace"), plain("d"), plain("c")];
  for (const worker of later) await worker.start();
  await write3("y", "y", "y");
  await waitUntilDrained(log, "app", "in");
  assert.deepEqual((await readTopic(log, "out")).map(({ value }) => String(value)).sort(), ["boom", "x", "x", "y", "y", "y"]);
  for (const worker of later) assert.notEqual(worker.state, "ERROR");
});
