import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { EmbeddedLog } from "../../../eventlog/embedded/embedded-log.ts";
import { makeTopic, readTexts, readToEnd, recordSet, values, write } from "../../contract/eventlog-helpers.ts";
import { openLog, tempDir } from "./embedded-helpers.ts";

const HOUR_MS = 3_600_000;

async function earliest(log: EmbeddedLog, topic: string): Promise<number> {
  return (await log.admin.listOffsets([{ topic, partition: 0 }], "earliest", "read_committed"))[0].offset;
}

test("batches older than retention.ms go, oldest first; the rest and the offsets stay, also after a restart", async (t) => {
  let now = 10 * HOUR_MS;
  const dir = await tempDir(t);
  const log = await openLog(t, { dir, now: () => now });
  const topic = await makeTopic(log, 1, { "retention.ms": String(HOUR_MS) });
  for (const age of [3, 2, 0.5, 2, 0]) await write(log, recordSet(topic, [{ value: String(age), timestamp: now - age * HOUR_MS }]));
  assert.equal((await log.runMaintenance()).batchesExpired, 2);
  assert.equal(await earliest(log, topic), 2);
  // Behind a younger batch an old one waits, as the start only moves forward.
  assert.deepEqual(
    (await readToEnd(log, [{ topic, partition: 0, offset: 2 }])).map(({ value }) => String(value)),
    ["0.5", "2", "0"],
  );
  const reader = log.reader({ isolation: "read_committed" });
  reader.assign([{ topic, partition: 0, offset: 0 }]);
  await assert.rejects(reader.poll(5000), { code: "offset-out-of-range" });
  now += 2 * HOUR_MS;
  await log.runMaintenance();
  await log.close();
  const again = await openLog(t, { dir, now: () => now });
  assert.equal(await earliest(again, topic), 5);
  const writer = again.plainWriter({});
  assert.equal((await writer.write(recordSet(topic, [{ value: "new", timestamp: now }])))[0].baseOffset, 5);
});

test("retention.bytes drops the oldest batches over it", async (t) => {
  const log = await openLog(t, { dir: await tempDir(t) });
  const topic = await makeTopic(log, 1, { "retention.bytes": "3500" });
  for (let i = 0; i < 10; i++) await write(log, recordSet(topic, [{ value: Buffer.alloc(1000, i) }]));
  await log.runMaintenance();
  assert.equal(await earliest(log, topic), 7);
});

test("retention does not touch a compacted topic, nor what is behind an open transaction", async (t) => {
  const log = await openLog(t, { dir: await tempDir(t), now: () => 10 * HOUR_MS });
  const compacted = await makeTopic(log, 1, { "cleanup.policy": "compact", "retention.ms": "1" });
  const expiring = await makeTopic(log, 1, { "retention.ms": "1" });
  const writer = log.txnWriter({ transactionalId: "t", timeoutMs: 60_000 });
  await writer.open();
  writer.begin();
  await writer.write(recordSet(expiring, [{ value: "in the transaction", timestamp: 1 }]));
  for (const topic of [compacted, expiring]) await write(log, recordSet(topic, [{ key: "k", value: "old", timestamp: 1 }]));
  assert.equal((await log.runMaintenance()).batchesExpired, 0);
  await writer.commit();
  assert.equal((await log.runMaintenance()).batchesExpired, 2);
  assert.deepEqual(await readTexts(log, compacted), ["old"]);
});

test("a tombstone stays for delete.retention.ms after the round that first saw it", async (t) => {
  let now = 0;
  const log = await openLog(t, { dir: await tempDir(t), now: () => (now += 1) });
  const topic = await makeTopic(log, 1, {
    "cleanup.policy": "compact",
    "min.cleanable.dirty.ratio": "0",
    "delete.retention.ms": String(HOUR_MS),
  });
  await write(
    log,
    recordSet(topic, [
      { key: "k", value: "v", timestamp: 0 },
      { key: "k", value: null, timestamp: 0 },
      { key: "other", value: "stays", timestamp: 0 },
    ]),
  );
  await log.runMaintenance();
  assert.deepEqual(await readTexts(log, topic), ["null", "stays"]);
  now += HOUR_MS / 2;
  await log.runMaintenance();
  assert.deepEqual(await readTexts(log, topic), ["null", "stays"]);
  now += HOUR_MS;
  await log.runMaintenance();
  assert.deepEqual(await readTexts(log, topic), ["stays"]);
});

test("compaction waits until enough is new", async (t) => {
  const log = await openLog(t, { dir: await tempDir(t) });
  const topic = await makeTopic(log, 1, { "cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.5" });
  const big = Array.from({ length: 100 }, (_, i) => ({ key: `k${i}`, value: "x".repeat(50) }));
  await write(log, recordSet(topic, big));
  await log.runMaintenance();
  await write(log, recordSet(topic, big.slice(0, 5)));
  assert.equal((await log.runMaintenance()).recordsCompacted, 0);
  await write(log, recordSet(topic, big));
  assert.equal((await log.runMaintenance()).recordsCompacted, 105);
});

test("for any history, compaction at any time leaves the table that the log stands for", async (t) => {
  const log = await openLog(t, { dir: await tempDir(t) });
  const step = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.array(
        fc.record({ key: fc.constantFrom("a", "b", "c", "d"), value: fc.option(fc.string({ maxLength: 8 }), { nil: null }) }),
        { minLength: 1, maxLength: 6 },
      ),
    },
    { weight: 1, arbitrary: fc.constantFrom("compact" as const, "abort" as const) },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 12 }), fc.constantFrom("none" as const, "zstd" as const), async (steps, compression) => {
      const topic = await makeTopic(log, 1, { "cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0", "delete.retention.ms": "0" });
      const plain = log.plainWriter({ compression });
      const txn = log.txnWriter({ transactionalId: "t", timeoutMs: 60_000 });
      await txn.open();
      const table = new Map<string, string>();
      for (const next of steps) {
        if (next === "compact") await log.runMaintenance();
        else if (next === "abort") {
          txn.begin();
          await txn.write(values(topic, "never"));
          await txn.abort();
        } else {
          await plain.write(recordSet(topic, next));
          for (const { key, value } of next)
            if (value === null) table.delete(key);
            else table.set(key, value);
        }
      }
      const read = async (): Promise<Map<string, string>> => {
        const rebuilt = new Map<string, string>();
        let previous = -1;
        for (const { key, value, offset } of await readToEnd(log, [{ topic, partition: 0, offset: 0 }])) {
          assert.ok(offset > previous);
          previous = offset;
          if (value === null) rebuilt.delete(String(key));
          else rebuilt.set(String(key), String(value));
        }
        return rebuilt;
      };
      assert.deepEqual(await read(), table);
      await log.runMaintenance();
      await log.runMaintenance();
      assert.deepEqual(await read(), table);
      assert.equal((await readToEnd(log, [{ topic, partition: 0, offset: 0 }])).length, table.size);
      await plain.close();
      await txn.close();
      await log.admin.deleteTopics([topic]);
    }),
    { numRuns: 60 },
  );
});
