/** Contract: transactions are all or nothing, for records and for group offsets, and one writer at a time. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import type { EventLog, TxnWriter } from "../../eventlog/port.ts";
import { TestMember, makeTopic, readTexts, recordSet, recordsOf, unique, until, values, write } from "./eventlog-helpers.ts";
import type { MakeLog } from "./eventlog.contract.ts";

const TXN_TIMEOUT_MS = 60_000;

async function openTxn(log: EventLog, t: TestContext, transactionalId = unique("txn")): Promise<TxnWriter> {
  const writer = log.txnWriter({ transactionalId, timeoutMs: TXN_TIMEOUT_MS });
  t.after(() => writer.close());
  await writer.open();
  return writer;
}

export function txnContract(name: string, makeLog: MakeLog): void {
  test(`${name}: read_committed sees exactly what was committed, in order`, async (t) => {
    const { log } = await makeLog(t);
    const topic = await makeTopic(log);
    const writer = await openTxn(log, t);
    const expected: string[] = [];
    for (let i = 0; i < 12; i++) {
      writer.begin();
      await writer.write(values(topic, `${i}a`, `${i}b`));
      await writer.write(values(topic, `${i}c`));
      if (i % 3 === 1) await writer.abort();
      else {
        await writer.commit();
        expected.push(`${i}a`, `${i}b`, `${i}c`);
      }
    }
    assert.deepEqual(await readTexts(log, topic), expected);
  });

  test(`${name}: ranges of a committed write are where its records are, with another writer in between`, async (t) => {
    const { log } = await makeLog(t);
    const topic = await makeTopic(log);
    const writer = await openTxn(log, t);
    writer.begin();
    const [first] = await writer.write(values(topic, "t1", "t2"));
    await write(log, values(topic, "plain"));
    const [second] = await writer.write(values(topic, "t3"));
    await writer.commit();
    const reader = log.reader({ isolation: "read_committed" });
    t.after(() => reader.close());
    reader.assign([{ topic, partition: 0, offset: 0 }]);
    const at = new Map<string, number>();
    await until("four records", async () => {
      for (const { value, offset } of (await reader.poll(200)).flatMap(recordsOf)) at.set(String(value), offset);
      return at.size === 4;
    });
    assert.deepEqual([first.baseOffset, first.nextOffset], [at.get("t1"), Number(at.get("t2")) + 1]);
    assert.deepEqual([second.baseOffset, second.nextOffset], [at.get("t3"), Number(at.get("t3")) + 1]);
    assert.equal(new Set(at.values()).size, 4);
  });

  test(`${name}: nothing behind an open transaction is handed out, and nothing is skipped when it ends`, async (t) => {
    const { log } = await makeLog(t);
    const topic = await makeTopic(log);
    await write(log, values(topic, "before"));
    const committed = await openTxn(log, t);
    const aborted = await openTxn(log, t);
    for (const writer of [committed, aborted]) writer.begin();
    await committed.write(values(topic, "in the transaction"));
    await aborted.write(values(topic, "never"));
    await write(log, values(topic, "behind"));
    const reader = log.reader({ isolation: "read_committed" });
    t.after(() => reader.close());
    reader.assign([{ topic, partition: 0, offset: 0 }]);
    const texts: string[] = [];
    const poll = async (): Promise<void> => {
      for (const batch of await reader.poll(200)) {
        assert.ok(batch.nextOffset <= batch.lastStableOffset);
        texts.push(...recordsOf(batch).map(({ value }) => String(value)));
      }
    };
    await until("the first record", async () => {
      await poll();
      return texts.length > 0;
    });
    await poll();
    assert.deepEqual(texts, ["before"]);
    const [latest] = await log.admin.listOffsets([{ topic, partition: 0 }], "latest", "read_committed");
    assert.equal(latest.offset, 1);
    await aborted.abort();
    await committed.commit();
    await until("the rest", async () => {
      await poll();
      return texts.length >= 3;
    });
    assert.deepEqual(texts, ["before", "in the transaction", "behind"]);
  });

  test(`${name}: an aborted tail moves nextOffset to the end`, async (t) => {
    const { log } = await makeLog(t);
    const topic = await makeTopic(log);
    const writer = await openTxn(log, t);
    await write(log, values(topic, "kept"));
    writer.begin();
    await writer.write(values(topic, "x", "y", "z"));
    await writer.abort();
    // readTexts ends only when nextOffset reaches the end.
    await until("the end past the aborted records", async () => {
      const [end] = await log.admin.listOffsets([{ topic, partition: 0 }], "latest", "read_committed");
      return end.offset >= 4;
    });
    assert.deepEqual(await readTexts(log, topic), ["kept"]);
    await write(log, values(topic, "after"));
    assert.deepEqual(await readTexts(log, topic), ["kept", "after"]);
  });

  test(`${name}: a user's key 00000000 is no abort marker`, async (t) => {
    const { log } = await makeLog(t);
    const topic = await makeTopic(log);
    const writer = await openTxn(log, t);
    const key = Buffer.alloc(4);
    writer.begin();
    await writer.write(recordSet(topic, [{ key, value: "aborted 1" }, { value: "aborted 2" }]));
    await writer.abort();
    writer.begin();
    await writer.write(recordSet(topic, [{ key, value: "committed" }]));
    await writer.commit();
    assert.deepEqual(await readTexts(log, topic), ["committed"]);
  });

  test(`${name}: a later open() of the same id fences the earlier writer and aborts what it left open`, async (t) => {
    const { log } = await makeLog(t);
    const topic = await makeTopic(log);
    const id = unique("txn");
    const zombie = await openTxn(log, t, id);
    zombie.begin();
    await zombie.write(values(topic, "of the zombie"));
    const heir = await openTxn(log, t, id);
    await assert.rejects(zombie.commit(), { code: "fenced", action: "fenced" });
    await assert.rejects(
      async () => {
        zombie.begin();
        await zombie.write(values(topic, "again"));
        await zombie.commit();
      },
      { code: "fenced" },
    );
    heir.begin();
    await heir.write(values(topic, "of the heir"));
    await heir.commit();
    assert.deepEqual(await readTexts(log, topic), ["of the heir"]);
  });

  test(`${name}: open() is the way back from whatever ended a transaction: abortable or fenced`, async (t) => {
    const { log } = await makeLog(t);
    const topic = await makeTopic(log);
    const member = new TestMember(log, t, { groupId: unique("group"), partitions: 1 });
    await member.start();
    const stale = { ...member.member.metadata(), memberId: "nobody" };
    const writer = await openTxn(log, t);
    writer.begin();
    await writer.write(values(topic, "refused"));
    await assert.rejects(writer.sendOffsets([{ topic, partition: 0, offset: 3 }], stale), { code: "stale-generation" });
    await writer.open();
    writer.begin();
    await writer.write(values(topic, "given up"));
    await writer.open();
    writer.begin();
    await writer.write(values(topic, "fenced"));
    await log.admin.fence(writer.transactionalId);
    await assert.rejects(writer.commit(), { code: "fenced" });
    await writer.open();
    writer.begin();
    await writer.write(values(topic, "after all"));
    await writer.commit();
    assert.deepEqual(await readTexts(log, topic), ["after all"]);
  });

  test(`${name}: admin sees open transactions by prefix and fences them`, async (t) => {
    const { log } = await makeLog(t);
    const topic = await makeTopic(log);
    const prefix = unique("prefix");
    const writer = await openTxn(log, t, `${prefix}-1`);
    await openTxn(log, t, `${prefix}-idle`);
    writer.begin();
    await writer.write(values(topic, "dropped"));
    await until("the open transaction", async () => (await log.admin.openTransactions(prefix)).join() === `${prefix}-1`);
    await log.admin.fence(`${prefix}-1`);
    await until("no open transaction", async () => (await log.admin.openTransactions(prefix)).length === 0);
    await assert.rejects(writer.commit(), { code: "fenced" });
    assert.deepEqual(await readTexts(log, topic), []);
  });

  test(`${name}: what is announced is written as if it had not been, whether all of it comes, or less, or more`, async (t) => {
    const { log } = await makeLog(t);
    const [first, second] = [await makeTopic(log, 2), await makeTopic(log)];
    const member = new TestMember(log, t, { groupId: unique("group"), partitions: 1 });
    await member.start();
    const stamp = member.member.metadata();
    const at = { topic: first, partition: 0 };
    const writer = await openTxn(log, t);
    for (const announced of [[], [at], [at, { topic: first, partition: 1 }], [at, { topic: second, partition: 0 }]]) {
      for (const written of [[first], [second], [first, second], []]) {
        writer.begin();
        writer.announce(announced, stamp.groupId);
        for (const topic of written) await writer.write(values(topic, `${announced.length} ${written.length}`));
        if (written.length > 1) await writer.sendOffsets([{ ...at, offset: announced.length }], stamp);
        await writer.commit();
      }
      writer.begin();
      writer.announce(announced, stamp.groupId);
      await writer.write(values(first, "aborted"));
      await writer.abort();
      writer.begin();
      writer.announce(announced, stamp.groupId);
      await writer.abort(); // though the announcement may still be on its way
    }
    const expected = ["0 1", "0 2", "1 1", "1 2", "2 1", "2 2", "2 1", "2 2"];
    assert.deepEqual(await readTexts(log, first), expected);
    assert.deepEqual(await readTexts(log, second), expected);
    await until("the last committed offset", async () => (await log.admin.groupOffsets(stamp.groupId, [at]))[0]?.offset === 2);
  });

  test(`${name}: an announcement in a transaction that another has taken over fails what comes after it`, async (t) => {
    const { log } = await makeLog(t);
    const topic = await makeTopic(log);
    const id = unique("txn");
    const zombie = await openTxn(log, t, id);
    zombie.begin();
    const heir = await openTxn(log, t, id);
    await assert.rejects(
      async () => {
        zombie.announce([{ topic, partition: 0 }], unique("group"));
        await zombie.write(values(topic, "of the zombie"));
      },
      { code: "fenced" },
    );
    heir.begin();
    await heir.write(values(topic, "of the heir"));
    await heir.commit();
    assert.deepEqual(await readTexts(log, topic), ["of the heir"]);
  });

  test(`${name}: calls out of order are refused`, async (t) => {
    const { log } = await makeLog(t);
    const topic = await makeTopic(log);
    const fresh = log.txnWriter({ transactionalId: unique("txn"), timeoutMs: TXN_TIMEOUT_MS });
    t.after(() => fresh.close());
    assert.throws(() => fresh.begin(), { code: "invalid-state" });
    await fresh.open();
    await assert.rejects(fresh.write(values(topic, "x")), { code: "invalid-state" });
    assert.throws(() => fresh.announce([{ topic, partition: 0 }], "group"), { code: "invalid-state" });
    await assert.rejects(fresh.commit(), { code: "invalid-state" });
    fresh.begin();
    assert.throws(() => fresh.begin(), { code: "invalid-state" });
    await fresh.commit();
  });

  test(`${name}: group offsets commit with the transaction and go with its abort`, async (t) => {
    const { log } = await makeLog(t);
    const topic = await makeTopic(log);
    const member = new TestMember(log, t, { groupId: unique("group"), partitions: 1 });
    await member.start();
    const groupId = member.member.metadata().groupId;
    const writer = await openTxn(log, t);
    const at = { topic, partition: 0 };
    writer.begin();
    await writer.write(values(topic, "x"));
    await writer.sendOffsets([{ ...at, offset: 7, metadata: "m" }], member.member.metadata());
    await writer.commit();
    // The markers of the offsets topic may be written a moment after the commit.
    await until("the committed offset", async () => (await log.admin.groupOffsets(groupId, [at])).length === 1);
    assert.deepEqual(await log.admin.groupOffsets(groupId, [at]), [{ ...at, offset: 7, metadata: "m" }]);
    writer.begin();
    await writer.sendOffsets([{ ...at, offset: 9 }], member.member.metadata());
    try {
      const [{ offset }] = await member.member.committed([at]);
      assert.equal(offset, 7);
    } catch (error) {
      const { code, partitions } = error as { code: string; partitions: unknown };
      assert.equal(code, "unstable-offsets");
      assert.deepEqual(partitions, [at]);
    }
    await writer.abort();
    let committed: number | undefined;
    await until("stable offsets", async () => {
      committed = await member.member.committed([at]).then(
        ([first]) => first.offset,
        () => undefined,
      );
      return committed !== undefined;
    });
    assert.equal(committed, 7);
  });

  test(`${name}: offsets of a stale generation are refused, and the transaction can only be aborted without them`, async (t) => {
    const { log } = await makeLog(t);
    const topic = await makeTopic(log);
    const member = new TestMember(log, t, { groupId: unique("group"), partitions: 1 });
    await member.start();
    const metadata = member.member.metadata();
    const writer = await openTxn(log, t);
    for (const stale of [
      { ...metadata, generationId: metadata.generationId - 1 },
      { ...metadata, memberId: "nobody" },
    ]) {
      writer.begin();
      await writer.write(values(topic, "of a zombie"));
      await assert.rejects(writer.sendOffsets([{ topic, partition: 0, offset: 3 }], stale), { code: "stale-generation", action: "fenced" });
      await assert.rejects(writer.commit(), { code: "transaction-aborted" }, "not without its offsets");
      await writer.abort();
    }
    assert.deepEqual(await readTexts(log, topic), []);
    assert.deepEqual(await log.admin.groupOffsets(metadata.groupId, [{ topic, partition: 0 }]), []);
  });

  test(`${name}: a transaction over many partitions is one`, async (t) => {
    const { log } = await makeLog(t);
    const topic = await makeTopic(log, 4);
    const writer = await openTxn(log, t);
    writer.begin();
    const ranges = await writer.write(
      recordSet(
        topic,
        Array.from({ length: 40 }, (_, i) => ({ value: String(i), partition: i % 4 })),
      ),
    );
    assert.deepEqual(ranges.map(({ partition, baseOffset, nextOffset }) => [partition, baseOffset, nextOffset]).sort(), [
      [0, 0, 10],
      [1, 0, 10],
      [2, 0, 10],
      [3, 0, 10],
    ]);
    await writer.commit();
    assert.equal((await readTexts(log, topic)).length, 10);
  });
}
