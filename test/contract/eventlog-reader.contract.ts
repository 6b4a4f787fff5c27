/** Contract: polling, positions and what a reader may do meanwhile. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { makeTopic, readToEnd, recordSet, recordsOf, unique, until, values, write } from "./eventlog-helpers.ts";
import type { MakeLog } from "./eventlog.contract.ts";

export function readerContract(name: string, makeLog: MakeLog, supports: { readonly compact: boolean }): void {
  test(`${name}: a poll ends with what is written meanwhile, and with nothing at its time`, async (t) => {
    const { log } = await makeLog(t);
    const topic = await makeTopic(log);
    const reader = log.reader({ isolation: "read_committed" });
    t.after(() => reader.close());
    reader.assign([{ topic, partition: 0, offset: 0 }]);
    assert.deepEqual(await reader.poll(50), []);
    const polled = reader.poll(20_000);
    await write(log, values(topic, "news"));
    const batches = await polled;
    assert.equal(String(batches[0].records.value(0)), "news");
    assert.equal(batches[0].nextOffset, 1);
  });

  test(`${name}: wakeup() ends a pending poll`, async (t) => {
    const { log } = await makeLog(t);
    const topic = await makeTopic(log);
    const reader = log.reader({ isolation: "read_committed" });
    t.after(() => reader.close());
    reader.assign([{ topic, partition: 0, offset: 0 }]);
    const start = Date.now();
    const polled = reader.poll(25_000);
    setImmediate(() => reader.wakeup());
    assert.deepEqual(await polled, []);
    assert.ok(Date.now() - start < 10_000);
  });

  test(`${name}: a paused partition is not handed out until it is resumed`, async (t) => {
    const { log } = await makeLog(t);
    const topic = await makeTopic(log, 2);
    await write(
      log,
      recordSet(
        topic,
        [0, 1].flatMap((partition) => ["a", "b"].map((value) => ({ value, partition }))),
      ),
    );
    const reader = log.reader({ isolation: "read_committed" });
    t.after(() => reader.close());
    reader.assign([0, 1].map((partition) => ({ topic, partition, offset: 0 })));
    reader.pause([{ topic, partition: 0 }]);
    const seen = [0, 0];
    const poll = async (): Promise<void> => {
      for (const batch of await reader.poll(100)) seen[batch.partition] += batch.records.count;
    };
    await until("partition 1", async () => {
      await poll();
      return seen[1] === 2;
    });
    await poll();
    assert.deepEqual(seen, [0, 2]);
    reader.resume([{ topic, partition: 0 }]);
    await until("partition 0", async () => {
      await poll();
      return seen[0] === 2;
    });
    assert.deepEqual(seen, [2, 2]);
  });

  test(`${name}: seek moves, into the middle of a batch too`, async (t) => {
    const { log } = await makeLog(t);
    const topic = await makeTopic(log);
    await write(log, values(topic, "0", "1", "2", "3"));
    const reader = log.reader({ isolation: "read_committed" });
    t.after(() => reader.close());
    reader.assign([{ topic, partition: 0, offset: 2 }]);
    const next = async (): Promise<string[]> => {
      let texts: string[] = [];
      await until(
        "records",
        async () => (texts = (await reader.poll(200)).flatMap(recordsOf).map(({ value }) => String(value))).length > 0,
      );
      return texts;
    };
    assert.deepEqual(await next(), ["2", "3"]);
    reader.seek({ topic, partition: 0, offset: 1 });
    assert.deepEqual(await next(), ["1", "2", "3"]);
    reader.assign([{ topic, partition: 0, offset: 3 }]);
    assert.deepEqual(await next(), ["3"]);
  });

  test(`${name}: what stays assigned at its position goes on, what is dropped is not handed out`, async (t) => {
    const { log } = await makeLog(t);
    const topic = await makeTopic(log, 2);
    await write(
      log,
      recordSet(
        topic,
        [0, 1].flatMap((partition) => ["a", "b", "c"].map((value) => ({ value, partition }))),
      ),
    );
    const reader = log.reader({ isolation: "read_committed" });
    t.after(() => reader.close());
    reader.assign([{ topic, partition: 0, offset: 0 }]);
    let read = 0;
    await until("partition 0", async () => (read += (await reader.poll(200)).reduce((sum, batch) => sum + batch.records.count, 0)) === 3);
    reader.assign([
      { topic, partition: 0, offset: 3 },
      { topic, partition: 1, offset: 0 },
    ]);
    const more: number[] = [];
    await until("partition 1", async () => {
      for (const batch of await reader.poll(200)) for (let i = 0; i < batch.records.count; i++) more.push(batch.partition);
      return more.length >= 3;
    });
    assert.deepEqual(more, [1, 1, 1]);
    reader.assign([{ topic, partition: 0, offset: 3 }]);
    await write(
      log,
      recordSet(
        topic,
        [0, 1].map((partition) => ({ value: "d", partition })),
      ),
    );
    const last: string[] = [];
    await until("the new record", async () => {
      for (const record of (await reader.poll(200)).flatMap(recordsOf)) last.push(`${record.partition}:${String(record.value)}`);
      return last.length > 0;
    });
    assert.deepEqual(last, ["0:d"]);
  });

  test(`${name}: an offset outside of the log is an error with its partition, and seek mends it`, async (t) => {
    const { log } = await makeLog(t);
    const topic = await makeTopic(log);
    await write(log, values(topic, "only"));
    const reader = log.reader({ isolation: "read_committed" });
    t.after(() => reader.close());
    reader.assign([{ topic, partition: 0, offset: 1000 }]);
    let error: unknown;
    await until("the error", async () => {
      try {
        assert.deepEqual(await reader.poll(500), []);
      } catch (caught) {
        error = caught;
      }
      return error !== undefined;
    });
    const { code, partitions } = error as { code: string; partitions: { topic: string; partition: number }[] };
    assert.equal(code, "offset-out-of-range");
    assert.deepEqual(partitions, [{ topic, partition: 0 }]);
    reader.seek({ topic, partition: 0, offset: 0 });
    let text = "";
    await until(
      "the record",
      async () =>
        (text = (await reader.poll(200))
          .flatMap(recordsOf)
          .map(({ value }) => String(value))
          .join()) !== "",
    );
    assert.equal(text, "only");
  });

  test(`${name}: reading an absent topic is an error`, async (t) => {
    const { log } = await makeLog(t);
    const reader = log.reader({ isolation: "read_committed" });
    t.after(() => reader.close());
    reader.assign([{ topic: unique("absent"), partition: 0, offset: 0 }]);
    let code: string | undefined;
    await until("the error", async () => {
      await reader.poll(500).catch((error: unknown) => (code = (error as { code: string }).code));
      return code !== undefined;
    });
    assert.equal(code, "unknown-topic");
  });

  test(`${name}: a closed reader refuses, and close() ends a pending poll`, async (t) => {
    const { log } = await makeLog(t);
    const topic = await makeTopic(log);
    const reader = log.reader({ isolation: "read_committed" });
    reader.assign([{ topic, partition: 0, offset: 0 }]);
    const polled = reader.poll(25_000).then(
      (batches) => assert.equal(batches.length, 0),
      (error: unknown) => assert.equal((error as { code: string }).code, "closed"),
    );
    await reader.close();
    await polled;
    await assert.rejects(async () => reader.poll(10), { code: "closed" });
  });

  test(`${name}: small bounds change the number of polls, not what is read`, async (t) => {
    const { log } = await makeLog(t);
    const topic = await makeTopic(log, 2);
    for (let i = 0; i < 10; i++)
      await write(
        log,
        recordSet(
          topic,
          [0, 1].map((partition) => ({ value: Buffer.alloc(5000, i), partition })),
        ),
      );
    const reader = log.reader({ isolation: "read_committed", maxBufferedBytes: 12_000, maxPartitionBytes: 6000 });
    t.after(() => reader.close());
    reader.assign([0, 1].map((partition) => ({ topic, partition, offset: 0 })));
    const seen: number[][] = [[], []];
    await until("all records", async () => {
      const batches = await reader.poll(200);
      assert.ok(batches.length <= 6, `${batches.length} batches of 5 kB handed out at once`);
      for (const batch of batches) for (const { value } of recordsOf(batch)) seen[batch.partition].push(value?.[0] ?? -1);
      return seen[0].length + seen[1].length === 20;
    });
    assert.deepEqual(seen, [
      [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
      [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    ]);
  });

  if (supports.compact) {
    test(`${name}: a compacted log keeps the newest of each key at its offset, and nextOffset moves past the gaps`, async (t) => {
      const { log, compact } = await makeLog(t);
      const topic = await makeTopic(log, 1, { "cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0", "delete.retention.ms": "0" });
      const writer = log.plainWriter({});
      await writer.write(
        recordSet(
          topic,
          ["a", "b", "a", "c"].map((key, i) => ({ key, value: `${i}` })),
        ),
      );
      await writer.write(
        recordSet(topic, [
          { key: "b", value: "4" },
          { key: "gone", value: "5" },
        ]),
      );
      await writer.write(recordSet(topic, [{ key: "gone", value: null }]));
      await writer.close();
      await compact?.();
      await compact?.(); // tombstones go in the round after the one that saw them
      const read = await readToEnd(log, [{ topic, partition: 0, offset: 0 }]); // would never end without nextOffset
      assert.deepEqual(
        read.map(({ offset, key, value }) => [offset, String(key), String(value)]),
        [
          [2, "a", "2"],
          [3, "c", "3"],
          [4, "b", "4"],
        ],
      );
      const [end] = await log.admin.listOffsets([{ topic, partition: 0 }], "latest", "read_committed");
      assert.equal(end.offset, 7);
    });
  }
}
