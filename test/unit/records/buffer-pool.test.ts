import assert from "node:assert/strict";
import { test } from "node:test";
import { BatchBuilder } from "../../../eventlog/records/batch-builder.ts";
import { BufferPool } from "../../../eventlog/records/buffer-pool.ts";

const MIB = 1024 * 1024;

test("a buffer has the bytes asked for, and is used again once it was given back", () => {
  const pool = new BufferPool();
  for (const bytes of [1, 4096, 4097, 65_536, 900_000, MIB]) {
    const buffer = pool.take(bytes);
    assert.ok(buffer.length >= bytes && buffer.length <= Math.max(4096, 2 * bytes));
    pool.give(buffer);
    assert.equal(pool.take(bytes), buffer);
    assert.equal(pool.freeBytes, 0);
    assert.notEqual(pool.take(bytes), buffer, "it is in use");
  }
});

test("a buffer of a rare size, larger than any batch of the default limit, is not kept", () => {
  const pool = new BufferPool();
  pool.give(pool.take(MIB + 1));
  pool.give(Buffer.alloc(0));
  assert.equal(pool.freeBytes, 0);
});

test("trimmed, the pool keeps no more than it is told, and its count stays true", () => {
  const pool = new BufferPool();
  const taken = [MIB, MIB, MIB / 2, 4096, 4096].map((bytes) => pool.take(bytes));
  for (const buffer of taken) pool.give(buffer);
  assert.equal(pool.freeBytes, 2.5 * MIB + 8192);
  pool.trim(MIB);
  assert.equal(pool.freeBytes, MIB / 2 + 8192);
  pool.trim(0);
  assert.equal(pool.freeBytes, 0);
});

test("a builder that is filled again as before grows no buffer: it begins with the right size", () => {
  const pool = new BufferPool();
  const builder = new BatchBuilder("t", 0, 900_000, pool);
  const value = Buffer.alloc(1_000);
  for (let round = 0; round < 3; round++) {
    const capacities = new Set<number>();
    for (let n = 0; n < 500; n++) {
      builder.append(0, null, 0, 0, value, 0, value.length);
      capacities.add(builder.batches[0].buffer.length);
    }
    if (round > 0) assert.deepEqual([...capacities], [MIB / 2]);
    builder.clear();
  }
});

test("the batches behind the first get a buffer for what is still expected", () => {
  const builder = new BatchBuilder("t", 0, 900_000, new BufferPool());
  const value = Buffer.alloc(1_000);
  for (let round = 0; round < 2; round++) {
    builder.clear();
    for (let n = 0; n < 1_000; n++) builder.append(0, null, 0, 0, value, 0, value.length);
  }
  assert.deepEqual(
    builder.batches.map(({ buffer }) => buffer.length),
    [MIB, MIB / 8],
  );
});
