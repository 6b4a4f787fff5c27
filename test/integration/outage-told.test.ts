/** A worker whose only way to a real broker is cut, or leads nowhere: it says so at once, once, and again when it works. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { KafkaLog } from "../../eventlog/kafka/kafka-log.ts";
import { Worker } from "../../runtime/worker.ts";
import { recordSet, write } from "../contract/eventlog-helpers.ts";
import { countingTopology } from "../support/counting-topology.ts";
import { startKafka } from "../support/kafka.ts";
import { recorder } from "../support/log-recorder.ts";
import { need } from "../support/need.ts";
import { waitUntilDrained } from "../support/telemetry.ts";
import { tempDir } from "../support/temp-dir.ts";
import { uniqueName } from "../support/unique-name.ts";
import { waitFor } from "../support/wait-for.ts";
import { openLog } from "./kafka/harness.ts";

const skip = await need("kafka");
const DOINGS = ["reading the source topics", "membership of the group"];
/** Well under the 30 s that a request may take, and over the 5 s after which silence is trouble. */
const SAID_WITHIN_MS = 15_000;

test(
  "an idle worker whose broker refuses connections, or is silent, says so and says when it is over",
  { skip, timeout: 90_000 },
  async (t) => {
    const kafka = await startKafka(t, { proxied: true });
    const [proxy] = kafka.proxies;
    const direct = openLog(t, kafka.bootstrap);
    const [applicationId, source, sink] = ["told", "in", "out"].map((name) => uniqueName(name));
    await direct.admin.createTopics([source, sink].map((name) => ({ name, partitions: 1, config: { "retention.ms": "-1" } })));
    const { logger, lines } = recorder();
    const log = new KafkaLog({ brokers: [proxy.address], clientId: "told", logger });
    const worker = new Worker({
      applicationId,
      topology: countingTopology(source, sink),
      log,
      state: { dir: tempDir(t, "told"), engine: "memory", cacheMiB: 4 },
      processing: { guarantee: "exactly-once", commitIntervalMs: 10 },
      sessionTimeoutMs: 30_000,
      logger,
    });
    t.after(() => worker.stop().then(() => log.close()));
    await worker.start();
    const said = (what: string): number => lines.filter(({ msg, level }) => level >= 30 && msg.startsWith(what)).length;

    for (const [round, fault] of [() => proxy.refuse(), () => proxy.shape("both", { stalled: true })].entries()) {
      await write(direct, recordSet(source, [{ key: "k", value: "x" }]));
      await waitUntilDrained(direct, applicationId, source);
      fault();
      const doings = round === 0 ? DOINGS : DOINGS.slice(0, 1);
      for (const doing of doings) {
        await waitFor(`${doing} is said to fail`, () => said(`${doing} fails`) === round + 1, { deadlineMs: SAID_WITHIN_MS });
      }
      proxy.calm();
      for (const doing of doings) await waitFor(`${doing} works again`, () => said(`${doing} works again`) === round + 1);
    }
    await write(direct, recordSet(source, [{ key: "k", value: "x" }]));
    await waitUntilDrained(direct, applicationId, source);
    assert.equal(said(`${DOINGS[0]} fails`), 2, "once an outage");
  },
);
