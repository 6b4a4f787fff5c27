import assert from "node:assert/strict";
import { test } from "node:test";
import { FetchedAnswer } from "../../../eventlog/kafka/reader/fetched-answer.ts";
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
    new FetchedAnswer(records),
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
    new FetchedAnswer(records),
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

/** In a buffer to itself, as an answer is. */
function answerOf(...batches: Buffer[]): Buffer {
  const all = Buffer.concat(batches);
  const answer = Buffer.allocUnsafeSlow(all.length);
  all.copy(answer);
  return answer;
}

test("an answer goes back when all its partitions are handed out and every batch is released, and not before", () => {
  const [first, second] = [Buffer.concat([batch(0, ["a", "b".repeat(100_000)]), batch(2, ["c"])]), batch(0, ["d"])];
  const answer = answerOf(first, second);
  const whole = new FetchedAnswer(answer);
  const parts = [answer.subarray(0, first.length), answer.subarray(first.length)];
  const chunks = parts.map(
    (records, partition) =>
      new FetchedChunk({ topic: "t", partition, errorCode: 0, highWatermark: 9, lastStableOffset: 9, aborted: [], records }, whole, 0),
  );
  const out: OutgoingBatch[] = [];
  chunks[0].take(out, Infinity);
  chunks[0].finished();
  for (const { release } of out) release?.();
  assert.equal(answer.length, first.length + second.length, "the other partition is not handed out yet");
  const rest: OutgoingBatch[] = [];
  chunks[1].take(rest, Infinity);
  chunks[1].finished();
  assert.deepEqual(shape(rest), [[["d"], 1]]);
  rest[0].release?.();
  assert.equal(answer.length, 0);
});

test("a compressed batch has a buffer of its own, and goes back by itself", () => {
  const builder = new BatchBuilder("t", 0, 1_000_000);
  for (const value of ["a", "b"]) builder.append(1, null, 0, 0, Buffer.from(value.repeat(100_000)), 0, 100_000);
  const compressed = encodeBatch(builder.batches[0], { baseOffset: 0, compression: "lz4" });
  const answer = answerOf(compressed, batch(2, ["c"]));
  const out = take(answer, 0, []);
  out[0].release?.();
  assert.equal(out[0].records.bytes.length, 0);
  assert.equal(out[1].records.value(0)?.toString(), "c");
});
