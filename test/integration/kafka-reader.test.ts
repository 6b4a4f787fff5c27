import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { LogError } from "../../eventlog/errors.ts";
import { need } from "../support/need.ts";
import { runCommand } from "../support/run-command.ts";
import { sharedKafka } from "../support/shared-kafka.ts";
import { tempDir } from "../support/temp-dir.ts";
import { uniqueName } from "../support/unique-name.ts";
import { waitFor } from "../support/wait-for.ts";
import { makeTopic, openLog, readAll, readUntil, recordSet } from "./kafka/harness.ts";

const skip = await need("kafka");

test("read_committed hides exactly the aborted data of interleaved producers, whatever the keys look like", { skip }, async (t) => {
  const log = openLog(t, (await sharedKafka()).bootstrap);
  const topic = await makeTopic(log, 2);
  const writers = await Promise.all(
    Array.from({ length: 6 }, async () => {
      const writer = log.txnWriter({ transactionalId: uniqueName("txn"), timeoutMs: 60_000 });
      t.after(() => writer.close());
      await writer.open();
      return writer;
    }),
  );
  const expected: string[] = [];
  // Four zero bytes are an abort marker's key too.
  const markerLike = Buffer.alloc(4);
  for (let round = 0; round < 12; round++) {
    for (const writer of writers) writer.begin();
    for (let part = 0; part < 3; part++) {
      await Promise.all(
        writers.map((writer, index) => {
          const value = `w${index} r${round} p${part}`;
          return writer.write(
            recordSet(
              topic,
              [0, 1].map((partition) => ({ partition, key: markerLike, value })),
            ),
          );
        }),
      );
    }
    await Promise.all(
      writers.map((writer, index) => {
        const commits = (round * 7 + index * 3) % 5 < 3;
        if (commits) for (let part = 0; part < 3; part++) expected.push(`w${index} r${round} p${part}`);
        return commits ? writer.commit() : writer.abort();
      }),
    );
  }
  const read = await readAll(t, log, topic);
  for (const partition of [0, 1]) {
    const values = read.filter((record) => record.partition === partition).map(({ value }) => value);
    assert.deepEqual(values.sort(), [...expected].sort());
  }
  const uncommitted = await readAll(t, log, topic, "read_uncommitted");
  assert.equal(uncommitted.length, 6 * 12 * 3 * 2);
});

test("positions move past a compacted tail and the end is reached", { skip }, async (t) => {
  const log = openLog(t, (await sharedKafka()).bootstrap);
  const config = { "cleanup.policy": "compact", "segment.ms": "200", "min.cleanable.dirty.ratio": "0.001", "min.compaction.lag.ms": "0" };
  const topic = await makeTopic(log, 1, config);
  const writer = log.plainWriter({});
  t.after(() => writer.close());
  const keyed = (key: string, value: string) => recordSet(topic, [{ partition: 0, key, value }]);
  for (let i = 0; i < 50; i++)
    await writer.write(
      recordSet(
        topic,
        [..."abcde"].map((key) => ({ partition: 0, key, value: `${i}` })),
      ),
    );
  let left: number | undefined;
  await waitFor(
    "the cleaner removed old values",
    async () => {
      await writer.write(keyed("roll", `${Date.now()}`)); // only closed segments are cleaned, and a record closes the last one
      left = (await readAll(t, log, topic)).filter(({ key }) => key !== "roll").length;
      return left < 50;
    },
    { deadlineMs: 60_000, intervalMs: 300 },
  );
  // readAll only ends when the position reaches the log's end, holes or not.
  const last = new Map((await readAll(t, log, topic)).map(({ key, value }) => [key, value]));
  for (const key of "abcde") assert.equal(last.get(key), "49");
});

const skipKcat = skip === false ? await need("kcat") : skip;

for (const codec of ["gzip", "snappy", "lz4", "zstd"]) {
  test(`batches that librdkafka compressed with ${codec} are read`, { skip: skipKcat }, async (t) => {
    const kafka = await sharedKafka();
    const log = openLog(t, kafka.bootstrap);
    const topic = await makeTopic(log, 1);
    const lines = Array.from({ length: 500 }, (_, i) => `key-${i % 7}:{"n":${i},"text":"the same text again and again"}`);
    const file = join(tempDir(t, "kcat"), "lines");
    writeFileSync(file, lines.join("\n"));
    const args = ["-P", "-b", kafka.bootstrapServers, "-t", topic, "-p", "0", "-K:", "-z", codec, "-l", file];
    const sent = await runCommand("kcat", args, { timeoutMs: 20_000 });
    assert.equal(sent.code, 0, sent.stderr);
    const read = await readAll(t, log, topic);
    assert.deepEqual(
      read.map(({ key, value }) => [key, value].join(":")),
      lines,
    );
  });
}

test("a position outside the log is an offset-out-of-range error until the caller seeks", { skip }, async (t) => {
  const log = openLog(t, (await sharedKafka()).bootstrap);
  const topic = await makeTopic(log, 1);
  const writer = log.plainWriter({});
  t.after(() => writer.close());
  await writer.write(recordSet(topic, [{ partition: 0, value: "only" }]));
  const reader = log.reader({ isolation: "read_committed" });
  t.after(() => reader.close());
  reader.assign([{ topic, partition: 0, offset: 1_000 }]);
  for (let i = 0; i < 2; i++) {
    await assert.rejects(
      () => reader.poll(10_000),
      (error: LogError) =>
        error.code === "offset-out-of-range" && error.partitions[0].topic === topic && error.partitions[0].partition === 0,
    );
  }
  reader.seek({ topic, partition: 0, offset: 0 });
  const { records } = await readUntil(reader, (read) => read.length > 0);
  assert.equal(records[0].value, "only");
});

test("a topic that does not exist is an unknown-topic error", { skip }, async (t) => {
  const log = openLog(t, (await sharedKafka()).bootstrap);
  const reader = log.reader({ isolation: "read_committed" });
  t.after(() => reader.close());
  reader.assign([{ topic: uniqueName("absent"), partition: 0, offset: 0 }]);
  await assert.rejects(() => reader.poll(10_000), { code: "unknown-topic" });
  await assert.rejects(() => log.partitionCount(uniqueName("absent")), { code: "unknown-topic" });
});

test("an answer to a position before a seek is not handed out", { skip }, async (t) => {
  const log = openLog(t, (await sharedKafka()).bootstrap);
  const topic = await makeTopic(log, 1);
  const writer = log.plainWriter({});
  t.after(() => writer.close());
  const write = (count: number) =>
    writer.write(
      recordSet(
        topic,
        Array.from({ length: count }, (_, i) => ({ partition: 0, value: `${i}` })),
      ),
    );
  await write(100);
  const reader = log.reader({ isolation: "read_committed", maxWaitMs: 10_000 });
  t.after(() => reader.close());
  reader.assign([{ topic, partition: 0, offset: 0 }]);
  for (const end of [100, 101, 102]) {
    const { records } = await readUntil(reader, (read) => read.length >= end);
    assert.deepEqual(
      records.map(({ offset }) => offset),
      Array.from({ length: end }, (_, offset) => offset),
    );
    await reader.poll(50); // the next fetch waits at the end of the log
    reader.seek({ topic, partition: 0, offset: 0 });
    await write(1); // what it is answered with
  }
});
