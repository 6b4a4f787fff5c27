import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { LogError } from "../../eventlog/errors.ts";
import type { GroupMetadata } from "../../eventlog/port.ts";
import { startKafka, type Kafka } from "../support/kafka.ts";
import { need } from "../support/need.ts";
import { uniqueName } from "../support/unique-name.ts";
import { waitFor } from "../support/wait-for.ts";
import { makeTopic, openLog, readAll, readUntil, recordSet } from "./kafka/harness.ts";

const skip = await need("kafka");

/** Reader, both writers and a group member at work while `disturb` runs: all go on after it, and nothing is lost or doubled. */
async function livesThrough(t: TestContext, kafka: Kafka, disturb: () => Promise<void>): Promise<void> {
  const log = openLog(t, kafka.bootstrap);
  const plainTopic = await makeTopic(log, 2);
  const txnTopic = await makeTopic(log, 2);
  const groupId = uniqueName("group");
  const fatal: Error[] = [];
  let generation: GroupMetadata | undefined;
  const member = log.group({
    groupId,
    sessionTimeoutMs: 30_000,
    rebalanceTimeoutMs: 30_000,
    heartbeatIntervalMs: 200,
    userData: () => Buffer.alloc(0),
    assignor: { name: "none", assign: (members) => Promise.resolve(new Map(members.map(({ memberId }) => [memberId, Buffer.alloc(0)]))) },
    listener: {
      onLost: () => Promise.resolve(),
      onAssigned: (_, metadata) => {
        generation = metadata;
        return Promise.resolve();
      },
      onFatal: (error) => fatal.push(error),
    },
  });
  t.after(() => member.leave());
  await member.start();

  const plain = log.plainWriter({});
  const txn = log.txnWriter({ transactionalId: uniqueName("txn"), timeoutMs: 60_000 });
  const reader = log.reader({ isolation: "read_committed" });
  t.after(() => Promise.all([plain.close(), txn.close(), reader.close()]));
  await txn.open();
  reader.assign([plainTopic, txnTopic].flatMap((topic) => [0, 1].map((partition) => ({ topic, partition, offset: 0 }))));

  let stopping = false;
  let committed = 0;
  const transactions = (async () => {
    while (!stopping) {
      txn.begin();
      try {
        await txn.write(
          recordSet(
            txnTopic,
            [0, 1].map((partition) => ({ partition, value: `txn ${committed}` })),
          ),
        );
        await txn.sendOffsets([{ topic: txnTopic, partition: 0, offset: committed + 1 }], generation ?? member.metadata());
        await txn.commit();
        committed++;
      } catch (error) {
        if (!(error instanceof LogError) || error.action !== "abortable") throw error;
        await txn.abort();
      }
    }
  })();
  let sent = 0;
  const failures: Error[] = [];
  const sends = (async () => {
    for (; !stopping; sent++) {
      await plain.ready();
      plain.send({ topic: plainTopic, partition: sent % 2 }, null, Buffer.from(`plain ${sent}`), undefined, Date.now(), (error) => {
        if (error !== undefined) failures.push(error);
      });
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  })();

  await waitFor("work goes on", () => committed > 20 && sent > 100, { deadlineMs: 60_000 });
  await disturb();
  const [committedThen, sentThen] = [committed, sent];
  await waitFor("work goes on again", () => committed > committedThen + 20 && sent > sentThen + 100, { deadlineMs: 60_000 });
  stopping = true;
  await Promise.all([transactions, sends]);
  await plain.flush();

  assert.deepEqual(failures, []);
  const expected = [
    ...Array.from({ length: sent }, (_, i) => `plain ${i}`),
    ...Array.from({ length: committed }, (_, i) => [`txn ${i}`, `txn ${i}`]).flat(),
  ].sort();
  const { records } = await readUntil(reader, (read) => read.length >= expected.length, 60_000);
  assert.deepEqual(records.map(({ value }) => value).sort(), expected);
  assert.equal((await readAll(t, log, txnTopic)).length, committed * 2);
  assert.deepEqual(await member.committed([{ topic: txnTopic, partition: 0 }]), [{ topic: txnTopic, partition: 0, offset: committed }]);
  assert.deepEqual(fatal, []);
}

test("a lone broker that stops and starts again", { skip }, async (t) => {
  const kafka = await startKafka(t, { brokers: 1 });
  await livesThrough(t, kafka, async () => {
    await kafka.stop();
    await kafka.restart();
  });
});

test("a cluster whose brokers are killed one after the other", { skip }, async (t) => {
  const kafka = await startKafka(t, { brokers: 3, heapMiB: 384 });
  await livesThrough(t, kafka, async () => {
    for (const node of [0, 1, 2]) {
      await kafka.kill(node);
      await kafka.restart();
    }
  });
});
