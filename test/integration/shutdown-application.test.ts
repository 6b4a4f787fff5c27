/** KIP-671's SHUTDOWN_APPLICATION through a real group coordinator, which keeps assignments of static members for their return. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { pino } from "pino";
import { KafkaLog } from "../../eventlog/kafka/kafka-log.ts";
import { SupervisedWorker } from "../../runtime/supervised-worker.ts";
import { serdes } from "../../state/serdes.ts";
import { StreamsBuilder } from "../../topology/streams-builder.ts";
import { recordSet, write } from "../contract/eventlog-helpers.ts";
import { need } from "../support/need.ts";
import { sharedKafka } from "../support/shared-kafka.ts";
import { readTopic, waitUntilDrained } from "../support/telemetry.ts";
import { tempDir } from "../support/temp-dir.ts";
import { uniqueName } from "../support/unique-name.ts";
import { waitFor } from "../support/wait-for.ts";

const skip = await need("kafka");
const logger = pino({ level: process.env.TEST_LOG ?? "silent" });
const NAMES = ["a", "b", "c"];
const texts = { key: serdes.string, value: serdes.string };

for (const isStatic of [true, false]) {
  const kind = isStatic ? "static" : "dynamic";
  test(`one worker's failure stops three ${kind} members, and not those that come after`, { skip, timeout: 60_000 }, async (t) => {
    const kafka = await sharedKafka();
    const [applicationId, source, sink] = ["shutdown", "in", "out"].map((name) => uniqueName(name));
    let isBroken = true;
    const builder = new StreamsBuilder();
    builder
      .stream(source, texts)
      .peek((value) => {
        if (isBroken && value === "boom") throw new Error("no worker survives this");
      })
      .to(sink, texts);
    const topology = builder.build();
    const log = new KafkaLog({ brokers: kafka.bootstrap, clientId: "shutdown", logger });
    const workers: SupervisedWorker[] = [];
    t.after(async () => {
      await Promise.all(workers.map((worker) => worker.stop()));
      await log.close();
    });
    const config = { "retention.ms": "-1" };
    await log.admin.createTopics([source, sink].map((name) => ({ name, partitions: NAMES.length, config })));
    const start = async (): Promise<void> => {
      for (const name of NAMES)
        workers.push(
          new SupervisedWorker({
            applicationId,
            instanceId: isStatic ? name : undefined,
            topology,
            log,
            state: { dir: tempDir(t, "shutdown"), engine: "memory", cacheMiB: 4 },
            processing: { guarantee: "exactly-once", commitIntervalMs: 10 },
            sessionTimeoutMs: 6_000,
            logger,
            onUncaught: "shut-down-application",
          }),
        );
      await Promise.all(workers.map((worker) => worker.start()));
    };
    const feed = (value: string): Promise<unknown> =>
      write(
        log,
        recordSet(source, [
          { value, partition: 0 },
          { value: "x", partition: 1 },
          { value: "x", partition: 2 },
        ]),
      );
    await start();
    const runsOne = ({ queries }: SupervisedWorker): boolean =>
      queries.worker().tasks.filter(({ status }) => status === "running").length === 1;
    await waitFor("each runs one task", () => workers.every(runsOne), { deadlineMs: 30_000 });
    await feed("boom");

    const outcomes = await Promise.allSettled(workers.map((worker) => worker.finished));
    const codes = outcomes.map((outcome) => (outcome.status === "rejected" ? (outcome.reason as { code: string }).code : "none"));
    assert.deepEqual(codes.toSorted(), ["application-shut-down", "application-shut-down", "processing-failed"]);
    assert.ok(workers.every(({ state }) => state === "ERROR"));
    await Promise.all(workers.splice(0).map((worker) => worker.stop()));

    isBroken = false;
    await start();
    await feed("y");
    await waitUntilDrained(log, applicationId, source);
    const values = (await readTopic(log, sink)).map(({ value }) => String(value));
    assert.deepEqual(values.sort(), ["boom", "x", "x", "x", "x", "y"]);
    await waitFor("all run", () => workers.every(({ state }) => state === "RUNNING"), { deadlineMs: 30_000 });
  });
}
