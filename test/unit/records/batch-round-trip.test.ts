import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Compression, RecordHeader } from "../../../eventlog/port.ts";
import { BatchBuilder } from "../../../eventlog/records/batch-builder.ts";
import { BufferPool } from "../../../eventlog/records/buffer-pool.ts";
import { encodeBatch } from "../../../eventlog/records/encode-batch.ts";
import { parseBatches } from "../../../eventlog/records/parse-batches.ts";
import type { RecordsView } from "../../../eventlog/records/view.ts";

interface Item {
  readonly timestamp: number;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly headers: readonly RecordHeader[];
}

const COMPRESSIONS: readonly Compression[] = ["none", "gzip", "snappy", "lz4", "zstd"];

function append(builder: BatchBuilder, item: Item): void {
  builder.append(item.timestamp, item.key, 0, item.key?.length ?? 0, item.value, 0, item.value?.length ?? 0, item.headers);
}

function roundTrip(
  items: readonly Item[],
  maxBatchBytes: number,
  compression: Compression,
  builder = new BatchBuilder("t", 0, maxBatchBytes),
): { items: Item[]; sizes: number[] } {
  for (const item of items) append(builder, item);
  const sizes: number[] = [];
  const read: Item[] = [];
  let nextOffset = 1000;
  for (const pending of builder.batches) {
    const bytes = encodeBatch(pending, { baseOffset: nextOffset, compression });
    sizes.push(pending.byteLength);
    const [batch] = parseBatches(bytes, 0, bytes.length, { partialTail: "error" });
    const view = batch.records();
    assert.equal(view.count, pending.recordCount);
    for (let i = 0; i < view.count; i++) {
      assert.equal(view.offsets[i], nextOffset++);
      read.push(readItem(view, i));
    }
    assert.equal(batch.nextOffset, nextOffset);
  }
  return { items: read, sizes };
}

function readItem(view: RecordsView, index: number): Item {
  return {
    timestamp: view.timestamps[index],
    key: copy(view.key(index)),
    value: copy(view.value(index)),
    headers: view.headers(index).map(({ key, value }) => ({ key, value: copy(value) })),
  };
}

function copy(bytes: Uint8Array | null): Uint8Array | null {
  return bytes === null ? null : Uint8Array.from(bytes);
}

const maybeBytes = fc.option(fc.uint8Array({ maxLength: 200 }), { nil: null });
const anyHeader = fc.record({ key: fc.string({ unit: "binary", maxLength: 20 }), value: maybeBytes }, { noNullPrototype: true });
const anyTimestamp = fc.oneof(fc.integer({ min: 1_767_225_600_000, max: 1_767_225_700_000 }), fc.maxSafeNat(), fc.constantFrom(0, -1));
const anyItem: fc.Arbitrary<Item> = fc.record(
  { timestamp: anyTimestamp, key: maybeBytes, value: maybeBytes, headers: fc.array(anyHeader, { maxLength: 3 }) },
  { noNullPrototype: true },
);

test("records come back as they were written, for every split and compression", () => {
  fc.assert(
    fc.property(
      fc.array(anyItem, { maxLength: 60 }),
      fc.integer({ min: 70, max: 5000 }),
      fc.constantFrom(...COMPRESSIONS),
      (items, maxBatchBytes, compression) => {
        const result = roundTrip(items, maxBatchBytes, compression);
        assert.deepEqual(result.items, items);
      },
    ),
    { numRuns: 300 },
  );
});

const stamped = fc.record({
  items: fc.array(anyItem, { minLength: 1, maxLength: 8 }),
  /** Offsets that compaction left empty before the batch. */
  gap: fc.oneof(fc.constant(0), fc.nat(2 ** 40)),
  producerId: fc.oneof(fc.constant(-1), fc.maxSafeNat()),
  producerEpoch: fc.integer({ min: -1, max: 32_767 }),
  baseSequence: fc.integer({ min: -1, max: 2 ** 31 - 1 }),
  transactional: fc.boolean(),
  compression: fc.constantFrom(...COMPRESSIONS),
});

test("batches that lie one behind another come back with their stamps, and their records from any offset on", () => {
  fc.assert(
    fc.property(
      fc.array(stamped, { minLength: 1, maxLength: 5 }),
      fc.nat(50),
      fc.nat(50),
      fc.nat(8),
      (batches, before, behind, skipped) => {
        let nextOffset = 0;
        const written = batches.map(({ items, gap, ...stamp }) => {
          const baseOffset = nextOffset + gap;
          nextOffset = baseOffset + items.length;
          const builder = new BatchBuilder("t", 0, 1 << 20);
          for (const item of items) append(builder, item);
          return { items, baseOffset, stamp, bytes: encodeBatch(builder.batches[0], { ...stamp, baseOffset }) };
        });
        const noise = (length: number): Buffer => Buffer.alloc(length, 0xa5);
        const bytes = Buffer.concat([noise(before), ...written.map((batch) => batch.bytes), noise(behind)]);
        const read = [...parseBatches(bytes, before, bytes.length - behind, { partialTail: "error" })];
        assert.equal(read.length, written.length);
        for (const [i, { items, baseOffset, stamp }] of written.entries()) {
          const { producerId, producerEpoch, baseSequence, isTransactional, isControl, nextOffset } = read[i];
          assert.deepEqual(
            { producerId, producerEpoch, baseSequence, isTransactional, isControl, nextOffset },
            {
              producerId: stamp.producerId,
              producerEpoch: stamp.producerEpoch,
              baseSequence: stamp.baseSequence,
              isTransactional: stamp.transactional,
              isControl: false,
              nextOffset: baseOffset + items.length,
            },
          );
          assert.equal(read[i].maxTimestamp, Math.max(...items.map(({ timestamp }) => timestamp)));
          assert.ok([stamp.compression, "none"].includes(read[i].compression));
          const view = read[i].records(baseOffset + skipped);
          const left = items.slice(skipped);
          assert.deepEqual(
            [...view.offsets.subarray(0, view.count)],
            left.map((_, at) => baseOffset + skipped + at),
          );
          for (const [at, item] of left.entries()) assert.deepEqual(readItem(view, at), item);
        }
      },
    ),
    { numRuns: 200 },
  );
});

test("no batch of more than one record is larger than the limit", () => {
  const items = Array.from({ length: 500 }, (_, i): Item => ({ timestamp: i, key: null, value: new Uint8Array(i % 90), headers: [] }));
  const builder = new BatchBuilder("t", 0, 300);
  const { sizes, items: read } = roundTrip(items, 300, "none", builder);
  assert.deepEqual(read, items);
  assert.ok(sizes.length > 50);
  for (const size of sizes) assert.ok(size <= 300, `${size}`);
  assert.equal(
    builder.byteLength,
    sizes.reduce((a, b) => a + b),
  );
});

test("a record larger than the limit makes its own batch", () => {
  const item = (size: number): Item => ({ timestamp: 5, key: null, value: new Uint8Array(size).fill(7), headers: [] });
  const { sizes, items } = roundTrip([item(1), item(5000), item(1)], 1000, "none");
  assert.deepEqual(items, [item(1), item(5000), item(1)]);
  assert.equal(sizes.length, 3);
});

test("a cleared builder starts over and keeps nothing of before", () => {
  const builder = new BatchBuilder("t", 0, 1000);
  const one: Item = { timestamp: 9, key: Buffer.from("old"), value: new Uint8Array(100_000), headers: [] };
  roundTrip([one], 1000, "none", builder);
  for (let round = 0; round < 40; round++) {
    builder.clear();
    assert.equal(builder.recordCount, 0);
    assert.equal(builder.byteLength, 0);
    const items: Item[] = [{ timestamp: round, key: null, value: Uint8Array.of(round), headers: [] }];
    assert.deepEqual(roundTrip(items, 1000, "none", builder).items, items);
  }
});

test("records before the fetch offset are left out", () => {
  const builder = new BatchBuilder("t", 0, 10_000);
  for (let i = 0; i < 10; i++) append(builder, { timestamp: i, key: null, value: Uint8Array.of(i), headers: [] });
  const [batch] = parseBatches(encodeBatch(builder.batches[0], { baseOffset: 100 }));
  const view = batch.records(107);
  assert.deepEqual([...view.offsets.subarray(0, view.count)], [107, 108, 109]);
  assert.equal(view.value(0)?.[0], 7);
  assert.equal(batch.records(110).count, 0);
});

test("a batch of 250,000 records is read whole, without recursion", () => {
  const builder = new BatchBuilder("t", 0, 64 * 1024 * 1024);
  const value = Buffer.from("v");
  for (let i = 0; i < 250_000; i++) builder.append(i, null, 0, 0, value, 0, 1);
  for (const compression of COMPRESSIONS) {
    const [batch] = parseBatches(encodeBatch(builder.batches[0], { compression }));
    const view = batch.records();
    assert.equal(view.count, 250_000);
    assert.equal(view.timestamps[249_999], 249_999);
  }
});

test("a timestamp that is no whole number is refused", () => {
  const builder = new BatchBuilder("t", 0, 1000);
  for (const timestamp of [Number.NaN, 0.5, -2, 2 ** 60, Number.POSITIVE_INFINITY]) {
    assert.throws(() => builder.append(timestamp, null, 0, 0, null, 0, 0), RangeError);
  }
  assert.equal(builder.recordCount, 0);
});

test("a batch that is written leaves, its buffer is another's at once, and clear() gives each buffer once", () => {
  const pool = new BufferPool();
  const builder = new BatchBuilder("t", 0, 6_000, pool);
  const fill = (): void => {
    for (let i = 0; i < 25; i++) builder.append(0, null, 0, 0, Buffer.alloc(1_000, i), 0, 1_000);
  };
  const all = 5;
  for (const written of [0, 1, all - 1, all]) {
    fill();
    const { batches, byteLength } = builder;
    assert.equal(batches.length, all);
    for (let i = 0; i < written; i++) builder.batchWritten();
    assert.deepEqual(builder.batches, batches.slice(written));
    assert.deepEqual([builder.isPartlyWritten, builder.recordCount, builder.byteLength], [written > 0, 25, byteLength]);
    builder.clear();
    assert.deepEqual([builder.isPartlyWritten, builder.recordCount, builder.batches.length], [false, 0, 0]);
    const taken = Array.from({ length: all }, () => pool.take(6_000));
    assert.ok(pool.freeBytes < 8_192, `${pool.freeBytes} bytes: one that was outgrown, and none of the batches'`);
    assert.equal(new Set(taken).size, all);
    for (const buffer of taken) pool.give(buffer);
  }
});
