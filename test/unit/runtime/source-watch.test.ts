/** Somebody gives a source topic more partitions while workers run. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { EmbeddedLog } from "../../../eventlog/embedded/embedded-log.ts";
import { Worker } from "../../../runtime/worker.ts";
import { serdes } from "../../../state/serdes.ts";
import { StreamsBuilder } from "../../../topology/streams-builder.ts";
import type { Topology } from "../../../topology/topology.ts";
import { countingTopology } from "../../support/counting-topology.ts";
import { FaultyLog } from "../../support/faulty-log.ts";
import { recorder } from "../../support/log-recorder.ts";
import { tempDir } from "../../support/temp-dir.ts";
import { waitFor } from "../../support/wait-for.ts";

async function start(t: TestContext, topology: Topology) {
  const log = await EmbeddedLog.open({ dir: tempDir(t, "watch-log") });
  const faults = new FaultyLog(log);
  await log.admin.createTopics(["in", "out"].map((name) => ({ name, partitions: 2, config: {} })));
  const { logger, lines } = recorder();
  const worker = new Worker({
    applicationId: "app",
    topology,
    log: faults.log,
    state: { dir: tempDir(t, "watch-state"), engine: "memory", cacheMiB: 4 },
    processing: { guarantee: "exactly-once", commitIntervalMs: 10, sourceCheckIntervalMs: 20 },
    sessionTimeoutMs: 5_000,
    logger,
  });
  t.after(() => worker.stop().then(() => log.close()));
  await worker.start();
  await waitFor("it runs", () => worker.state === "RUNNING");
  return { faults, worker, lines };
}

test("with state the worker stops, naming topic and counts, and what to do", async (t) => {
  const { faults, worker } = await start(t, countingTopology());
  faults.describedPartitions.set("in", 3);
  await assert.rejects(worker.finished, {
    code: "topology-mismatch",
    message: /^source topic in has 3 partitions and had 2 .*either move on to a new topic .*sluice reset/,
  });
});

test("without state it says so, and the group is asked to read the new ones too", async (t) => {
  const texts = { key: serdes.string, value: serdes.string };
  const builder = new StreamsBuilder();
  builder.stream("in", texts).to("out", texts);
  const { faults, worker, lines } = await start(t, builder.build());
  const assigned = (): number => lines.filter(({ msg }) => msg === "assigned").length;
  const before = assigned();
  faults.describedPartitions.set("in", 3);
  await waitFor("another assignment", () => assigned() > before);
  assert.equal(lines.filter(({ msg }) => msg.startsWith("a source topic has another number of partitions")).length, 1);
  assert.equal(worker.state === "ERROR", false);
});
