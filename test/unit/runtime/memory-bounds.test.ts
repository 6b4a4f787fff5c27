import assert from "node:assert/strict";
import { test } from "node:test";
import { BatchBuilder } from "../../../eventlog/records/batch-builder.ts";
import { BufferPool } from "../../../eventlog/records/buffer-pool.ts";
import { encodeBatch } from "../../../eventlog/records/encode-batch.ts";
import { parseBatches } from "../../../eventlog/records/parse-batches.ts";
import { COLUMN_BYTES } from "../../../eventlog/records/read-records.ts";
import { RecordSet } from "../../../eventlog/records/record-set.ts";
import type { RecordsView } from "../../../eventlog/records/view.ts";
import { defaultMemoryMiB, memoryBudget, minMemoryMiB, restoredRowBytes } from "../../../runtime/memory-budget.ts";
import { OutputCollector } from "../../../runtime/output-collector.ts";

const MIB = 1024 * 1024;

function valuesOf(records: RecordsView): Buffer[] {
  return Array.from({ length: records.count }, (_, index) => Buffer.from(records.value(index) ?? []));
}

test("without a setting the shares are those of a cache of 64 MiB and 576 MiB beside it", () => {
  assert.equal(defaultMemoryMiB(64), 832);
  assert.deepEqual(memoryBudget(64), {
    fetchBytes: 4 * MIB,
    batchBytes: 64 * MIB,
    gatheredBytes: 32 * MIB,
    changedBytes: 64 * MIB,
    uncheckpointedBytes: 32 * MIB,
    restoreBytes: 16 * MIB,
    standbyFetchBytes: 8 * MIB,
    standbyRowBytes: 16 * MIB,
  });
});

test("a ceiling without room for cache and flow is refused, and one just large enough is not", () => {
  assert.throws(() => memoryBudget(64, minMemoryMiB(64) - 1), { code: "too-little-memory" });
  assert.equal(memoryBudget(64, minMemoryMiB(64)).fetchBytes, MIB);
});

test("restores have what the other tasks leave of the rows without a checkpoint, and never less than their own share", () => {
  const memory = memoryBudget(64);
  const MiBLeft = (takenMiB: number): number => restoredRowBytes(memory, takenMiB * MIB) / MIB;
  assert.deepEqual([0, 10, 32, 60].map(MiBLeft), [48, 38, 16, 16]);
});

test("batches respect the limit of their topic, and Kafka's default where the topic takes more", () => {
  const collector = new OutputCollector((topic) => (topic === "small" ? 10_000 : 50_000_000));
  const value = Buffer.alloc(1_000);
  for (const topic of ["small", "large"])
    for (let n = 0; n < 2_000; n++) collector.set.partition(topic, 0).append(0, null, 0, 0, value, 0, value.length);
  const longest = (topic: string): number => Math.max(...collector.set.partition(topic, 0).batches.map(({ byteLength }) => byteLength));
  assert.ok(longest("small") <= 10_000 && longest("small") > 8_000, `${longest("small")}`);
  assert.ok(longest("large") <= 900_000 && longest("large") > 800_000, `${longest("large")}`);
});

test("partitions that take turns with a lot of output do not keep room for all of it, each", () => {
  const pool = new BufferPool();
  const set = new RecordSet(900_000, pool);
  const value = Buffer.alloc(100_000);
  for (let partition = 0; partition < 30; partition++) {
    for (let n = 0; n < 40; n++) set.partition("t", partition).append(0, null, 0, 0, value, 0, value.length);
    set.clear();
  }
  assert.ok(pool.freeBytes <= 12 * MIB, `${pool.freeBytes} bytes kept`);
});

test("two sets that take turns use the same buffers", () => {
  const collector = new OutputCollector();
  const value = Buffer.alloc(100_000);
  const seen = new Set<ArrayBufferLike>();
  for (let round = 0; round < 20; round++) {
    for (let n = 0; n < 40; n++) collector.set.partition("t", round % 4).append(0, null, 0, 0, value, 0, value.length);
    for (const { buffer } of collector.set.partition("t", round % 4).batches) seen.add(buffer.buffer);
    collector.release(collector.take());
  }
  assert.ok(seen.size <= 6, `${seen.size} buffers for 5 batches at a time`);
});

test("what a set holds is not written over by the other one", () => {
  const collector = new OutputCollector();
  const fill = (byte: number): void => {
    const value = Buffer.alloc(100_000, byte);
    for (let n = 0; n < 40; n++) collector.set.partition("t", n % 2).append(0, null, 0, 0, value, 0, value.length);
  };
  fill(0);
  collector.release(collector.take());
  for (let round = 1; round < 10; round++) {
    fill(round);
    const inFlight = collector.take();
    fill(100);
    const batches = inFlight.builders.flatMap(({ batches }) => batches.map((batch) => Buffer.from(encodeBatch(batch, {}))));
    const values = batches.flatMap((bytes) => [...parseBatches(bytes)].flatMap((batch) => valuesOf(batch.records())));
    assert.equal(values.length, 40);
    for (const value of values) assert.ok(value.equals(Buffer.alloc(100_000, round)));
    collector.release(inFlight);
    collector.discard();
  }
});

test("records that are appended after a clear which gave the buffer back are whole", () => {
  const set = new RecordSet(900_000);
  for (const size of [8 * MIB, 1, 8 * MIB]) {
    const value = Buffer.alloc(size, 7);
    set.partition("t", 0).append(5, null, 0, 0, value, 0, value.length);
    const [batch] = parseBatches(Buffer.from(encodeBatch(set.partition("t", 0).batches[0], {})));
    assert.ok(batch.records().value(0)?.equals(value));
    set.clear();
    set.partition("other", 0).append(5, null, 0, 0, value, 0, 1);
    set.clear();
    set.clear();
  }
});

for (const compression of ["gzip", "snappy", "lz4", "zstd"] as const) {
  test(`a ${compression} batch is opened up to the bound, the columns of its records included, and refused above it`, () => {
    const builder = new BatchBuilder("t", 0, 10_000_000);
    for (let n = 0; n < 10_000; n++) builder.append(0, null, 0, 0, null, 0, 0);
    const [batch] = parseBatches(Buffer.from(encodeBatch(builder.batches[0], { compression })));
    const opened = batch.records();
    const needed = opened.bytes.length + 10_000 * COLUMN_BYTES;
    assert.equal(batch.records(0, needed).count, 10_000);
    for (const maxBytes of [needed - 1, 10_000 * COLUMN_BYTES, 1_000])
      assert.throws(() => batch.records(0, maxBytes), { code: "batch-too-large" });
  });
}
