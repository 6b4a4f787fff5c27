import assert from "node:assert/strict";
import { test } from "node:test";
import { Cluster } from "../../eventlog/kafka/connection/cluster.ts";
import { CoordinatorClient } from "../../eventlog/kafka/connection/coordinator-client.ts";
import { connectionSettings, parseAddress } from "../../eventlog/kafka/connection/options.ts";
import { KafkaLog } from "../../eventlog/kafka/kafka-log.ts";
import { initProducer } from "../../eventlog/kafka/init-producer.ts";
import { BufferPool } from "../../eventlog/records/buffer-pool.ts";
import { RecordSet } from "../../eventlog/records/record-set.ts";
import { need } from "../support/need.ts";
import { sharedKafka } from "../support/shared-kafka.ts";
import { uniqueName } from "../support/unique-name.ts";
import { waitFor } from "../support/wait-for.ts";
import { makeTopic, openLog, readAll, recordSet, sendText, silent } from "./kafka/harness.ts";

const skip = await need("kafka");
const TRANSACTIONS = 100;

test("a transactional id taken over fences its old holder, whose data stays invisible", { skip }, async (t) => {
  const log = openLog(t, (await sharedKafka()).bootstrap);
  const topic = await makeTopic(log, 1);
  const transactionalId = uniqueName("txn");
  const [old, next] = [0, 1].map(() => log.txnWriter({ transactionalId, timeoutMs: 60_000 }));
  t.after(() => Promise.all([old.close(), next.close()]));
  await old.open();
  old.begin();
  await old.write(recordSet(topic, [{ partition: 0, value: "zombie" }]));
  assert.deepEqual(await log.admin.openTransactions(transactionalId), [transactionalId]);
  await next.open();
  assert.deepEqual(await log.admin.openTransactions(transactionalId), []);
  next.begin();
  await next.write(recordSet(topic, [{ partition: 0, value: "heir" }]));
  await assert.rejects(() => old.commit(), { code: "fenced", action: "fenced" });
  assert.throws(() => old.begin(), { code: "fenced" });
  await next.commit();
  assert.deepEqual(
    (await readAll(t, log, topic)).map(({ value }) => value),
    ["heir"],
  );
});

/** Fills two sets in turn while the other one is written, and returns what was put into them. */
async function inTurns(topic: string, pool: BufferPool, write: (set: RecordSet) => Promise<unknown>): Promise<string[]> {
  const [one, other] = [0, 1].map(() => new RecordSet(10_000, pool));
  const expected: string[] = [];
  const fill = (set: RecordSet, round: number): void => {
    for (let i = 0; i < 60; i++) {
      const value = Buffer.alloc(1_000, `${round}-${i} `);
      expected.push(value.toString());
      set.partition(topic, i % 2).append(round, null, 0, 0, value, 0, value.length);
    }
  };
  fill(one, 0);
  for (let round = 0; round < 6; round++) {
    const [set, next] = round % 2 === 0 ? [one, other] : [other, one];
    const written = write(set);
    if (round < 5) fill(next, round + 1);
    await written;
    assert.ok(pool.freeBytes >= 6 * 10_000, `${pool.freeBytes} bytes are free`);
    set.clear();
  }
  return expected.toSorted();
}

test(
  "buffers of batches that are written go to another set meanwhile, and a set is refused until it is cleared",
  { skip, timeout: 30_000 },
  async (t) => {
    const log = openLog(t, (await sharedKafka()).bootstrap);
    const again = async (write: (set: RecordSet) => Promise<unknown>, topic: string): Promise<void> => {
      const set = recordSet(topic, [{ partition: 0, value: "once" }]);
      await write(set);
      await assert.rejects(write(set), { code: "invalid-state" });
    };
    const valuesOf = async (topic: string): Promise<string[]> =>
      (await readAll(t, log, topic)).map(({ value }) => String(value)).toSorted();

    const plain = log.plainWriter({});
    t.after(() => plain.close());
    const plainTopic = await makeTopic(log, 2);
    assert.deepEqual(await inTurns(plainTopic, new BufferPool(), (set) => plain.write(set)), await valuesOf(plainTopic));
    await again((set) => plain.write(set), plainTopic);

    const txn = log.txnWriter({ transactionalId: uniqueName("txn"), timeoutMs: 60_000 });
    t.after(() => txn.close());
    await txn.open();
    const txnTopic = await makeTopic(log, 2);
    const transaction = async (set: RecordSet): Promise<void> => {
      txn.begin();
      await txn.write(set);
      await txn.commit();
    };
    assert.deepEqual(await inTurns(txnTopic, new BufferPool(), transaction), await valuesOf(txnTopic));
    txn.begin();
    await again((set) => txn.write(set), txnTopic);
    await assert.rejects(txn.commit(), { code: "transaction-aborted" });
  },
);

test("abort after a fenced write does not take the id back", { skip }, async (t) => {
  const log = openLog(t, (await sharedKafka()).bootstrap);
  const topic = await makeTopic(log, 1);
  const transactionalId = uniqueName("txn");
  const [old, next] = [0, 1].map(() => log.txnWriter({ transactionalId, timeoutMs: 60_000 }));
  t.after(() => Promise.all([old.close(), next.close()]));
  await old.open();
  old.begin();
  await next.open();
  await assert.rejects(() => old.write(recordSet(topic, [{ partition: 0, value: "zombie" }])), { code: "fenced" });
  await assert.rejects(() => old.abort(), { code: "fenced" });
  next.begin();
  await next.write(recordSet(topic, [{ partition: 0, value: "heir" }]));
  await next.commit();
});

test("a new epoch is refused to a producer that was replaced, so that an abort cannot take the id back (KIP-360)", { skip }, async (t) => {
  const [address] = (await sharedKafka()).bootstrap.map(parseAddress);
  const cluster = new Cluster([address], connectionSettings({ brokers: [], clientId: "sluice-test", logger: silent }));
  const connections = cluster.connect();
  t.after(() => Promise.all([connections.close(), cluster.close()]));
  const options = { transactionalId: uniqueName("txn"), timeoutMs: 60_000 };
  const coordinator = new CoordinatorClient(cluster, connections, "transaction", options.transactionalId);
  const first = await initProducer(coordinator, options);
  const bumped = await initProducer(coordinator, { ...options, current: first });
  assert.deepEqual(bumped, { producerId: first.producerId, producerEpoch: first.producerEpoch + 1 });
  const heir = await initProducer(coordinator, options);
  assert.ok(heir.producerEpoch > bumped.producerEpoch);
  await assert.rejects(initProducer(coordinator, { ...options, current: first }), { code: "fenced" });
});

test("offsets under another's open transaction are unstable, and fencing it frees them within a second", { skip }, async (t) => {
  const log = openLog(t, (await sharedKafka()).bootstrap);
  const topic = await makeTopic(log, 1);
  const group = { groupId: uniqueName("group"), generationId: -1, memberId: "" };
  const transactionalId = uniqueName("txn");
  const dead = log.txnWriter({ transactionalId, timeoutMs: 600_000 });
  t.after(() => dead.close());
  await dead.open();
  dead.begin();
  await dead.sendOffsets([{ topic, partition: 0, offset: 5 }], group);
  await dead.commit();
  dead.begin();
  await dead.sendOffsets([{ topic, partition: 0, offset: 9 }], group);
  const member = log.group({
    groupId: group.groupId,
    sessionTimeoutMs: 6_000,
    rebalanceTimeoutMs: 6_000,
    heartbeatIntervalMs: 1_000,
    userData: () => Buffer.alloc(0),
    assignor: { name: "none", assign: (members) => Promise.resolve(new Map(members.map(({ memberId }) => [memberId, Buffer.alloc(0)]))) },
    listener: { onAssigned: async () => {}, onLost: async () => {}, onFatal: (error) => assert.fail(error) },
  });
  t.after(() => member.leave());
  await assert.rejects(() => member.committed([{ topic, partition: 0 }]), { code: "unstable-offsets", action: "retriable" });
  const started = performance.now();
  await log.admin.fence(transactionalId);
  const offsets = await waitFor("the offset is stable", () => member.committed([{ topic, partition: 0 }]));
  assert.ok(performance.now() - started < 1_000);
  assert.deepEqual(offsets, [{ topic, partition: 0, offset: 5 }]);
  await assert.rejects(() => dead.commit(), { code: "fenced" });
});

test(
  "offsets sent with a generation that is over are refused as stale-generation, and the transaction can be aborted",
  { skip },
  async (t) => {
    const log = openLog(t, (await sharedKafka()).bootstrap);
    const topic = await makeTopic(log, 1);
    const groupId = uniqueName("group");
    const writer = log.txnWriter({ transactionalId: uniqueName("txn"), timeoutMs: 60_000 });
    t.after(() => writer.close());
    await writer.open();
    writer.begin();
    await writer.write(recordSet(topic, [{ partition: 0, value: "late" }]));
    const stale = { groupId, generationId: 3, memberId: "gone" };
    await assert.rejects(() => writer.sendOffsets([{ topic, partition: 0, offset: 1 }], stale), {
      code: "stale-generation",
      action: "fenced",
    });
    await assert.rejects(() => writer.commit(), { code: "transaction-aborted" });
    await writer.abort();
    assert.deepEqual(await readAll(t, log, topic), []);
    assert.deepEqual(await log.admin.groupOffsets(groupId, [{ topic, partition: 0 }]), []);
  },
);

test(
  "transactions with offsets follow each other at once, though the one before is still being completed (KafkaJS #430, #1068)",
  { skip },
  async (t) => {
    const log = new KafkaLog({ brokers: (await sharedKafka()).bootstrap, clientId: "sluice-test", logger: silent });
    const topic = await makeTopic(log, 3);
    const group = { groupId: uniqueName("group"), generationId: -1, memberId: "" };
    const writer = log.txnWriter({ transactionalId: uniqueName("txn"), timeoutMs: 60_000 });
    t.after(async () => {
      await writer.close();
      await log.close();
    });
    await writer.open();
    for (let n = 0; n < TRANSACTIONS; n++) {
      writer.begin();
      // every other one begins with the offsets, so that each request is the first to meet what is not completed
      if (n % 2 === 0) await writer.write(recordSet(topic, [{ partition: n % 3, value: String(n) }]));
      await writer.sendOffsets([{ topic, partition: 0, offset: n + 1 }], group);
      await writer.commit();
    }
    await waitFor("the last one is completed", async () => {
      const [committed] = await log.admin.groupOffsets(group.groupId, [{ topic, partition: 0 }]);
      return committed.offset === TRANSACTIONS && (await readAll(t, log, topic)).length === TRANSACTIONS / 2;
    });
  },
);

test("a batch over the topic's own limit is split; only a record that is too large by itself fails", { skip }, async (t) => {
  const log = openLog(t, (await sharedKafka()).bootstrap);
  const topic = await makeTopic(log, 1, { "max.message.bytes": "2000" });
  const writer = log.plainWriter({ lingerMs: 20 });
  t.after(() => writer.close());
  const texts = Array.from({ length: 100 }, (_, i) => (i === 40 ? "x".repeat(3_000) : `${i} `.padEnd(100, ".")));
  const errors = await Promise.all(texts.map((text) => sendText(writer, topic, 0, text)));
  for (const [index, error] of errors.entries()) {
    if (index === 40) assert.equal((error as { code?: string } | undefined)?.code, "record-too-large");
    else assert.equal(error, undefined);
  }
  assert.deepEqual(
    (await readAll(t, log, topic)).map(({ value }) => value),
    texts.filter((_, i) => i !== 40),
  );
  const txn = log.txnWriter({ transactionalId: uniqueName("txn"), timeoutMs: 60_000 });
  t.after(() => txn.close());
  await txn.open();
  txn.begin();
  const large = Array.from({ length: 2 }, () => ({ partition: 0, value: "x".repeat(3_000) }));
  await assert.rejects(() => txn.write(recordSet(topic, large)), {
    code: "record-too-large",
    partitions: [{ topic, partition: 0 }],
    refused: { bytes: 6_079, records: 2 },
  });
  await txn.abort();
  txn.begin();
  await txn.write(recordSet(topic, [{ partition: 0, value: "after" }]));
  await txn.commit();
});

test("a full writer says so, and ready() waits for room", { skip }, async (t) => {
  const log = openLog(t, (await sharedKafka()).bootstrap);
  const topic = await makeTopic(log, 1);
  const writer = log.plainWriter({ maxBufferedBytes: 1_000 });
  t.after(() => writer.close());
  const errors: (Error | undefined)[] = [];
  const send = (): void =>
    writer.send({ topic, partition: 0 }, null, Buffer.alloc(100), undefined, Date.now(), (error) => errors.push(error));
  let sent = 0;
  assert.throws(
    () => {
      for (; sent < 100; sent++) send();
    },
    { code: "buffer-full", action: "retriable" },
  );
  assert.ok(sent > 10 && sent < 30);
  await writer.ready();
  send();
  await writer.flush();
  assert.deepEqual(
    errors,
    Array.from({ length: sent + 1 }, () => undefined),
  );
});

for (const compression of ["gzip", "snappy", "lz4", "zstd"] as const) {
  test(`a transaction written with ${compression} is read back`, { skip }, async (t) => {
    const log = openLog(t, (await sharedKafka()).bootstrap);
    const topic = await makeTopic(log, 1);
    const writer = log.txnWriter({ transactionalId: uniqueName("txn"), timeoutMs: 60_000, compression });
    t.after(() => writer.close());
    await writer.open();
    writer.begin();
    const values = Array.from({ length: 2_000 }, (_, i) => `the same text again and again ${i}`);
    await writer.write(
      recordSet(
        topic,
        values.map((value) => ({ partition: 0, value })),
        20_000,
      ),
    );
    await writer.commit();
    assert.deepEqual(
      (await readAll(t, log, topic)).map(({ value }) => value),
      values,
    );
  });
}
