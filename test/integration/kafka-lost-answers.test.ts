/** Both writers when answers are lost and connections cut, through the proxy. */
import assert from "node:assert/strict";
import { after, test, type TestContext } from "node:test";
import type { BrokerProxy } from "../support/broker-proxy.ts";
import { CleanupList } from "../support/cleanup.ts";
import { startKafka, type Kafka } from "../support/kafka.ts";
import { need } from "../support/need.ts";
import { API_KEYS } from "../support/request-scanner.ts";
import { uniqueName } from "../support/unique-name.ts";
import { waitFor } from "../support/wait-for.ts";
import { makeTopic, openLog, readAll, recordSet, sendText } from "./kafka/harness.ts";

const skip = await need("kafka");
const { produce, findCoordinator, addPartitionsToTxn, addOffsetsToTxn, endTxn, txnOffsetCommit } = API_KEYS;
const API = { produce, findCoordinator, addPartitionsToTxn, endTxn, txnOffsetCommit };

/** One broker for this file: the shared one has no proxy before it. */
const cleanup = new CleanupList();
after(() => cleanup.run());
let started: Promise<Kafka> | undefined;

async function proxied(): Promise<{ kafka: Kafka; proxy: BrokerProxy }> {
  started ??= startKafka(cleanup, { proxied: true });
  const kafka = await started;
  return { kafka, proxy: kafka.proxies[0] };
}

/** A writer through the proxy, not opened yet, and what a transaction of it is for. */
async function setUpWriter(t: TestContext, partitions: number) {
  const { proxy } = await proxied();
  const log = openLog(t, [proxy.address]);
  const topic = await makeTopic(log, partitions);
  const group = { groupId: uniqueName("group"), generationId: -1, memberId: "" };
  const writer = log.txnWriter({ transactionalId: uniqueName("txn"), timeoutMs: 60_000 });
  t.after(() => writer.close());
  const write = (value: string, ...to: number[]) =>
    writer.write(
      recordSet(
        topic,
        to.map((partition) => ({ partition, value })),
      ),
    );
  const sendOffset = (offset: number) => writer.sendOffsets([{ topic, partition: 0, offset }], group);
  return { proxy, log, topic, group, writer, write, sendOffset };
}

function asked(proxy: BrokerProxy): number[] {
  return [addPartitionsToTxn, addOffsetsToTxn, produce, txnOffsetCommit].map((apiKey) => proxy.requestsOf(apiKey));
}

for (const [name, apiKey] of Object.entries(API)) {
  test(`a transaction goes through once when the answer to ${name} is lost`, { skip }, async (t) => {
    const { proxy, log, topic, group, writer, write, sendOffset } = await setUpWriter(t, 2);
    const losses = proxy.faultsDone;
    if (name !== "findCoordinator") await writer.open();
    proxy.failNext(apiKey, "lose-answer");
    if (name === "findCoordinator") await writer.open();
    for (let i = 0; i < 5; i++) {
      writer.begin();
      const written = await write(`${i}`, 0, 1);
      assert.deepEqual(
        written.map(({ partition, baseOffset, nextOffset }) => [partition, nextOffset - baseOffset]),
        [
          [0, 1],
          [1, 1],
        ],
      );
      assert.ok(written.every(({ baseOffset }) => baseOffset === i * 2));
      await sendOffset(i + 1);
      await writer.commit();
    }
    assert.equal(proxy.faultsDone - losses, 1);
    const read = await readAll(t, log, topic);
    for (const partition of [0, 1]) {
      assert.deepEqual(
        read.filter((record) => record.partition === partition).map(({ value }) => value),
        ["0", "1", "2", "3", "4"],
      );
    }
    assert.equal((await log.admin.groupOffsets(group.groupId, [{ topic, partition: 0 }]))[0].offset, 5);
  });
}

test("what is announced is asked for once, before it is written", { skip }, async (t) => {
  const { proxy, log, topic, group, writer, write, sendOffset } = await setUpWriter(t, 3);
  await writer.open();
  // Everybody knows the topic and the group after it: nothing is asked twice for a passing reason.
  writer.begin();
  await write("x", 0, 1, 2);
  await sendOffset(1);
  await writer.commit();
  const before = asked(proxy);
  const since = (): number[] => asked(proxy).map((count, index) => count - before[index]);
  writer.begin();
  writer.announce(
    [0, 1].map((partition) => ({ topic, partition })),
    group.groupId,
  );
  await waitFor("the announcement's requests", () => since().join() === "1,1,0,0");
  await write("x", 0, 1);
  await sendOffset(1);
  assert.deepEqual(since(), [1, 1, 1, 1]);
  await write("x", 1, 2);
  assert.deepEqual(since(), [2, 1, 2, 1], "only what was not announced");
  await writer.commit();
  assert.equal((await readAll(t, log, topic)).length, 7);
});

for (const apiKey of [addPartitionsToTxn, addOffsetsToTxn]) {
  test(`a transaction goes through once when the answer to an announcement's request ${apiKey} is lost`, { skip }, async (t) => {
    const { proxy, log, topic, group, writer, write, sendOffset } = await setUpWriter(t, 1);
    const losses = proxy.faultsDone;
    await writer.open();
    proxy.failNext(apiKey, "lose-answer");
    for (let i = 0; i < 3; i++) {
      writer.begin();
      writer.announce([{ topic, partition: 0 }], group.groupId);
      await write(`${i}`, 0);
      await sendOffset(i);
      await writer.commit();
    }
    assert.equal(proxy.faultsDone - losses, 1);
    assert.deepEqual(
      (await readAll(t, log, topic)).map(({ value }) => value),
      ["0", "1", "2"],
    );
  });
}

test("plain writes over a connection that is cut again and again are neither lost nor doubled nor reordered", { skip }, async (t) => {
  const { kafka, proxy } = await proxied();
  const losses = proxy.faultsDone;
  const log = openLog(t, [proxy.address]);
  const topic = await makeTopic(log, 2);
  const writer = log.plainWriter({ lingerMs: 1, maxBatchBytes: 2_000 });
  t.after(() => writer.close());
  for (let round = 0; round < 10; round++) {
    proxy.failNext(API.produce, "lose-answer");
    const answers: Promise<Error | undefined>[] = [];
    for (let i = round * 300; i < (round + 1) * 300; i++) {
      answers.push(sendText(writer, topic, i % 2, `${i}`));
      if (i % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
      if (i % 300 === 250 && round % 2 === 1) proxy.cut();
    }
    assert.deepEqual(new Set(await Promise.all(answers)), new Set([undefined]));
  }
  assert.ok(proxy.faultsDone - losses >= 5);
  const read = await readAll(t, openLog(t, kafka.bootstrap), topic);
  for (const partition of [0, 1]) {
    const values = read.filter((record) => record.partition === partition).map(({ value }) => Number(value));
    assert.deepEqual(
      values,
      Array.from({ length: 1_500 }, (_, i) => i * 2 + partition),
    );
  }
});
