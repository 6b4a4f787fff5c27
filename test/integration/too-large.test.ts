/** max.message.bytes of a real topic, lowered under a running worker: what the broker then refuses is a dead letter, not a loop. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Kafka as KafkaClient, logLevel } from "kafkajs";
import { pino } from "pino";
import { KafkaLog } from "../../eventlog/kafka/kafka-log.ts";
import { changelogTopic } from "../../state/changelog.ts";
import { Worker } from "../../runtime/worker.ts";
import { recordSet, write } from "../contract/eventlog-helpers.ts";
import { keepingTopology } from "../support/keeping-topology.ts";
import { need } from "../support/need.ts";
import { sharedKafka } from "../support/shared-kafka.ts";
import { readTopic, waitUntilDrained } from "../support/telemetry.ts";
import { tempDir } from "../support/temp-dir.ts";
import { uniqueName } from "../support/unique-name.ts";
import { waitFor } from "../support/wait-for.ts";

const skip = await need("kafka");
const logger = pino({ level: process.env.TEST_LOG ?? "silent" });
const LIMIT_BYTES = 4_000;
/** kafkajs's ConfigResourceTypes.TOPIC. */
const TOPIC = 2;

const small = Array.from({ length: 100 }, (_, i) => [`k${i}`, `${i} `.padEnd(100, ".")] as const);
const large = ["large", "x".repeat(LIMIT_BYTES)] as const;

for (const guarantee of ["exactly-once", "at-least-once"] as const)
  test(`max.message.bytes lowered under a running worker (${guarantee})`, { skip, timeout: 60_000 }, async (t) => {
    const { bootstrap } = await sharedKafka();
    const [applicationId, source, sink, dlq] = ["too-large", "in", "out", "dlq"].map((name) => uniqueName(name));
    const log = new KafkaLog({ brokers: bootstrap, clientId: "too-large", logger });
    const admin = new KafkaClient({ brokers: bootstrap, clientId: "too-large-admin", logLevel: logLevel.NOTHING }).admin();
    const workers: Worker[] = [];
    t.after(async () => {
      await Promise.all(workers.map((worker) => worker.stop()));
      await Promise.all([log.close(), admin.disconnect()]);
    });
    await admin.connect();
    await log.admin.createTopics([source, sink, dlq].map((name) => ({ name, partitions: 1, config: { "retention.ms": "-1" } })));
    const start = async (): Promise<Worker> => {
      const worker = new Worker({
        applicationId,
        topology: keepingTopology(source, sink),
        log,
        state: { dir: tempDir(t, "too-large"), engine: "memory", cacheMiB: 4 },
        processing: { guarantee, commitIntervalMs: 10 },
        sessionTimeoutMs: 6_000,
        deadLetterTopic: dlq,
        logger,
      });
      workers.push(worker);
      await worker.start();
      return worker;
    };
    const feed = async (records: readonly (readonly [string, string])[]): Promise<void> => {
      await write(log, recordSet(source, records.map(([key, value]) => ({ key, value })))); // prettier-ignore
    };
    const probe = log.txnWriter({ transactionalId: uniqueName("probe"), timeoutMs: 60_000 });
    t.after(() => probe.close());
    await probe.open();
    /** The change is a replacement of all the topic's settings. It is told before it is done: asked for with what is then aborted. */
    const lower = async (topic: string): Promise<void> => {
      const settings = { "max.message.bytes": String(LIMIT_BYTES), "retention.ms": "-1" };
      const configEntries = Object.entries(settings).map(([name, value]) => ({ name, value }));
      await admin.alterConfigs({ validateOnly: false, resources: [{ type: TOPIC, name: topic, configEntries }] });
      await waitFor("the new limit", async () => {
        probe.begin();
        const isRefused = await probe.write(recordSet(topic, [{ value: large[1] }])).then(
          () => false,
          () => true,
        );
        await probe.abort();
        return isRefused;
      });
    };
    /** A commit is answered before its markers are on every partition: a reader may need another moment. */
    const texts = async (topic: string, count: number): Promise<string[][]> => {
      const read = async (): Promise<string[][]> => (await readTopic(log, topic)).map(({ key, value }) => [String(key), String(value)]);
      await waitFor(`${count} records of ${topic}`, async () => (await read()).length >= count);
      return read();
    };

    const first = await start();
    await feed([...small, large]);
    await waitUntilDrained(log, applicationId, source);
    assert.deepEqual(await texts(sink, 101), [...small, large]);

    await lower(sink);
    await feed([...small, large, ...small]);
    await waitUntilDrained(log, applicationId, source);
    // At least once writes what fits of a commit that fails as a whole, and then again.
    const written = await texts(sink, 301);
    const wanted = [...small, large, ...small, ...small];
    if (guarantee === "exactly-once") assert.deepEqual(written, wanted);
    else assert.deepEqual(new Set(written.map(String)), new Set(wanted.map(String)));
    assert.deepEqual(new Set((await texts(dlq, 1)).map(String)), new Set([String(large)]));
    assert.equal(first.state, "RUNNING");
    await first.stop();

    const lettersBefore = (await texts(dlq, 1)).length;
    const second = await start();
    await feed([...small, large]);
    await waitUntilDrained(log, applicationId, source);
    assert.equal((await texts(dlq, lettersBefore + 1)).length, lettersBefore + 1);
    assert.doesNotMatch(await second.registry.metrics(), /^sluice_recoveries_total\{/m, "the limit was known from the start");

    await lower(changelogTopic(applicationId, "last"));
    await feed([["row-1", "y".repeat(LIMIT_BYTES - 200)], ["row-2", "y".repeat(LIMIT_BYTES)]]); // prettier-ignore
    await assert.rejects(second.finished, { code: "row-too-large", message: /row of store "last" takes .* under key "row-2"/ });
  });
