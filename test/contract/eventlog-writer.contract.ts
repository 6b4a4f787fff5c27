/** Contract: records go in as they are and come out in order. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import type { LogError } from "../../eventlog/errors.ts";
import type { Compression } from "../../eventlog/port.ts";
import { partitionForKey } from "../../eventlog/records/murmur2.ts";
import { makeTopic, readTexts, readToEnd, recordSet, unique, until, values, write } from "./eventlog-helpers.ts";
import type { Item } from "./eventlog-helpers.ts";
import type { MakeLog } from "./eventlog.contract.ts";

export function writerContract(name: string, makeLog: MakeLog): void {
  test(`${name}: records come back in order with key, value, headers and timestamp as written`, async (t) => {
    const { log } = await makeLog(t);
    const topic = await makeTopic(log);
    const items: Item[] = [
      { key: "k", value: "v", timestamp: 1_767_225_600_123, headers: [{ key: "h", value: Buffer.from([0, 255]) }] },
      { key: null, value: "no key" },
      { key: "gone", value: null },
      { key: "", value: "" },
      { key: "zero", value: "at the epoch", timestamp: 0 },
      {
        key: "ü",
        value: "header without a value, twice",
        headers: [
          { key: "ä", value: null },
          { key: "ä", value: Buffer.alloc(0) },
        ],
      },
    ];
    const writer = log.plainWriter({});
    const [range] = await writer.write(recordSet(topic, items));
    await writer.close();
    assert.deepEqual(range, { topic, partition: 0, baseOffset: 0, nextOffset: items.length });
    const read = await readToEnd(log, [{ topic, partition: 0, offset: 0 }]);
    assert.deepEqual(
      read,
      items.map(({ key = null, value, timestamp = 1_767_225_600_000, headers = [] }, offset) => ({
        partition: 0,
        offset,
        timestamp,
        key: key === null ? null : Buffer.from(key),
        value: value === null ? null : Buffer.from(value),
        headers: headers.map((header) => ({ key: header.key, value: header.value === null ? null : Buffer.from(header.value) })),
      })),
    );
  });

  for (const compression of ["none", "gzip", "snappy", "lz4", "zstd"] as const satisfies readonly Compression[]) {
    test(`${name}: ${compression} is written and read`, async (t) => {
      const { log } = await makeLog(t);
      const topic = await makeTopic(log);
      const texts = Array.from({ length: 500 }, (_, i) => `{"seq":${i},"tempC":21.5}`);
      const writer = log.plainWriter({ compression });
      await writer.write(values(topic, ...texts));
      await writer.close();
      assert.deepEqual(await readTexts(log, topic), texts);
    });
  }

  test(`${name}: a key's records stay in order on the partition that murmur2 gives`, async (t) => {
    const { log } = await makeLog(t);
    const topic = await makeTopic(log, 3);
    const items = Array.from({ length: 300 }, (_, i): Item & { partition: number } => {
      const key = Buffer.from(`device-${i % 20}`);
      return { key, value: String(i), partition: partitionForKey(key, 0, key.length, 3) };
    });
    await write(log, recordSet(topic, items));
    const read = await readToEnd(
      log,
      [0, 1, 2].map((partition) => ({ topic, partition, offset: 0 })),
    );
    for (let device = 0; device < 20; device++) {
      const own = read.filter(({ key }) => String(key) === `device-${device}`);
      assert.deepEqual(
        own.map(({ value }) => Number(value)),
        Array.from({ length: 15 }, (_, n) => device + n * 20),
      );
      assert.equal(new Set(own.map(({ partition }) => partition)).size, 1);
    }
  });

  test(`${name}: a record of 1 MB goes through`, async (t) => {
    const { log } = await makeLog(t);
    const topic = await makeTopic(log);
    const value = randomBytes(1_000_000);
    await write(log, recordSet(topic, [{ value }]));
    const [record] = await readToEnd(log, [{ topic, partition: 0, offset: 0 }]);
    assert.ok(record.value?.equals(value));
  });

  test(`${name}: a backlog of 200,000 records is read completely and in order`, async (t) => {
    const { log } = await makeLog(t);
    const topic = await makeTopic(log);
    const set = recordSet(
      topic,
      Array.from({ length: 200_000 }, (_, i) => ({ value: String(i) })),
    );
    await write(log, set);
    const read = await readToEnd(log, [{ topic, partition: 0, offset: 0 }]);
    assert.equal(read.length, 200_000);
    for (let i = 0; i < read.length; i++) assert.ok(read[i].offset === i && Number(read[i].value) === i, `record ${i}`);
  });

  test(`${name}: sent records are acknowledged in order once each, and are durable then`, async (t) => {
    const { log } = await makeLog(t);
    const topic = await makeTopic(log, 2);
    const writer = log.plainWriter({ lingerMs: 1 });
    t.after(() => writer.close());
    const acked: number[][] = [[], []];
    for (let i = 0; i < 1000; i++) {
      await writer.ready();
      writer.send({ topic, partition: i % 2 }, null, Buffer.from(String(i)), undefined, i, (error) => {
        assert.equal(error, undefined);
        acked[i % 2].push(i);
      });
    }
    await writer.flush();
    for (const partition of [0, 1]) {
      const expected = Array.from({ length: 500 }, (_, n) => n * 2 + partition);
      assert.deepEqual(acked[partition], expected);
      const read = await readToEnd(log, [{ topic, partition, offset: 0 }]);
      assert.deepEqual(
        read.map(({ value }) => Number(value)),
        expected,
      );
    }
  });

  test(`${name}: a lingering record goes out by itself`, async (t) => {
    const { log } = await makeLog(t);
    const topic = await makeTopic(log);
    const writer = log.plainWriter({ lingerMs: 5 });
    t.after(() => writer.close());
    let acked = false;
    writer.send({ topic, partition: 0 }, null, Buffer.from("x"), undefined, 1, () => (acked = true));
    await until("the acknowledgement", () => acked);
  });

  test(`${name}: a full buffer makes ready() wait, and send() refuse at twice the bound`, async (t) => {
    const { log } = await makeLog(t);
    const topic = await makeTopic(log);
    const writer = log.plainWriter({ maxBufferedBytes: 50_000, maxBatchBytes: 20_000, lingerMs: 1 });
    t.after(() => writer.close());
    const value = Buffer.alloc(1000, "x");
    let sent = 0;
    let acked = 0;
    const send = (): void => {
      writer.send({ topic, partition: 0 }, null, value, undefined, 1, (error) => {
        assert.equal(error, undefined);
        acked++;
      });
      sent++;
    };
    assert.throws(
      () => {
        for (let i = 0; i < 200; i++) send();
      },
      { code: "buffer-full", action: "retriable" },
    );
    assert.ok(sent >= 90 && sent <= 110, `${sent} records of 1 kB fit twice 50 kB`);
    await writer.ready();
    assert.ok(acked > 0, "room came from acknowledgements");
    send();
    await writer.flush();
    assert.equal(acked, sent);
    assert.equal((await readTexts(log, topic)).length, sent);
  });

  test(`${name}: a record over the topic's limit is refused, and the others go through`, async (t) => {
    const { log } = await makeLog(t);
    const topic = await makeTopic(log, 1, { "max.message.bytes": "10000" });
    const writer = log.plainWriter({ lingerMs: 1 });
    t.after(() => writer.close());
    const results: (string | undefined)[] = [];
    for (const size of [10, 20_000, 30]) {
      writer.send({ topic, partition: 0 }, null, randomBytes(size), undefined, 1, (error) =>
        results.push((error as LogError | undefined)?.code),
      );
      await writer.flush();
    }
    assert.deepEqual(results, [undefined, "record-too-large", undefined]);
    const alone = writer.write(recordSet(topic, [{ value: randomBytes(20_000) }]));
    await assert.rejects(alone, (error: LogError) => {
      assert.deepEqual([error.code, error.partitions, error.refused?.records], ["record-too-large", [{ topic, partition: 0 }], 1]);
      assert.ok((error.refused?.bytes ?? 0) > 20_000);
      return true;
    });
    assert.equal((await readTexts(log, topic)).length, 2);
  });

  test(`${name}: writing to a topic that does not exist is refused`, async (t) => {
    const { log } = await makeLog(t);
    const topic = unique("absent");
    const writer = log.plainWriter({ lingerMs: 1 });
    t.after(() => writer.close());
    let code: string | undefined;
    writer.send({ topic, partition: 0 }, null, Buffer.from("x"), undefined, 1, (error) => (code = (error as LogError | undefined)?.code));
    await until("the refusal", () => code !== undefined);
    assert.equal(code, "unknown-topic");
    await assert.rejects(writer.write(values(topic, "x")), { code: "unknown-topic" });
  });
}
