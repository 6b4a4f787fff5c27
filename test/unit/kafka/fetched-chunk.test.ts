import assert from "node:assert/strict";
import { test } from "node:test";
import { FetchedChunk, type OutgoingBatch } from "../../../eventlog/kafka/reader/fetched-chunk.ts";
import { offsetAfter } from "../../../eventlog/kafka/reader/whole-batches.ts";
import { AT } from "../../../eventlog/records/batch-format.ts";
import { BatchBuilder } from "../../../eventlog/records/batch-builder.ts";
import { encodeBatch, encodeControlBatch } from "../../../eventlog/records/encode-batch.ts";

const producer = { producerId: 7, producerEpoch: 0 };

function batch(baseOffset: number, values: readonly string[]): Buffer {
  const builder = new BatchBuilder("t", 0, 1_000_000);
  for (const value of values) builder.append(1, null, 0, 0, Buffer.from(value), 0, value.length);
  return Buffer.from(encodeBatch(builder.batches[0], { baseOffset, ...producer, baseSequence: 0, transactional: true }));
}

function marker(type: "abort" | "commit", baseOffset: number): Buffer {
  return encodeControlBatch(type, { baseOffset, ...producer, timestamp: 1 });
}

function take(
  records: Buffer,
  fetchOffset: number,
  aborted: { producerId: number; firstOffset: number }[],
  budget = Infinity,
): OutgoingBatch[] {
  const chunk = new FetchedChunk(
    { topic: "t", partition: 0, errorCode: 0, highWatermark: 99, lastStableOffset: 98, aborted, records },
    fetchOffset,
  );
  const out: OutgoingBatch[] = [];
  while (chunk.bytesLeft > 0) chunk.take(out, budget);
  return out;
}

const shape = (batches: OutgoingBatch[]) =>
  batches.map(({ records, nextOffset }) => [Array.from({ length: records.count }, (_, i) => String(records.value(i))), nextOffset]);

test("markers and aborted batches only move the position", () => {
  const records = Buffer.concat([batch(0, ["a", "b"]), marker("abort", 2), batch(3, ["c"]), marker("commit", 4)]);
  assert.deepEqual(shape(take(records, 0, [{ producerId: 7, firstOffset: 0 }])), [
    [[], 3],
    [["c"], 5],
  ]);
  assert.deepEqual(shape(take(records, 0, [])), [
    [["a", "b"], 3],
    [["c"], 5],
  ]);
});

test("records before the fetch offset are left out, and a cut-off batch at the end is ignored", () => {
  const records = Buffer.concat([batch(0, ["a", "b", "c"]), batch(3, ["d"]).subarray(0, 65)]);
  assert.deepEqual(shape(take(records, 2, [])), [[["c"], 3]]);
  assert.equal(offsetAfter(records), 3);
  assert.equal(offsetAfter(records.subarray(0, 40)), undefined);
});

test("decoding stops at the budget and goes on where it stopped", () => {
  const records = Buffer.concat([batch(0, ["a"]), batch(1, ["b"]), batch(2, ["c"])]);
  assert.deepEqual(shape(take(records, 0, [], 1)), [
    [["a"], 1],
    [["b"], 2],
    [["c"], 3],
  ]);
});

test("a broken batch is an error, what was before it is not lost", () => {
  const broken = batch(1, ["b"]);
  broken[broken.length - 1] ^= 1;
  const out: OutgoingBatch[] = [];
  const records = Buffer.concat([batch(0, ["a"]), broken]);
  const chunk = new FetchedChunk(
    { topic: "t", partition: 0, errorCode: 0, highWatermark: 9, lastStableOffset: 9, aborted: [], records },
    0,
  );
  assert.throws(() => chunk.take(out, Infinity), { code: "corrupt-batch" });
  assert.deepEqual(shape(out), [[["a"], 1]]);
});

test("where to fetch on comes from the batch header, past records that compaction removed", () => {
  const compacted = batch(10, ["a", "b"]);
  compacted.writeInt32BE(9, AT.lastOffsetDelta);
  assert.equal(offsetAfter(compacted), 20);
  compacted.writeInt32BE(0, AT.recordCount); // emptied altogether
  assert.equal(offsetAfter(Buffer.concat([batch(0, ["x"]), compacted])), 20);
});
