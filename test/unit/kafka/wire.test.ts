import assert from "node:assert/strict";
import { test } from "node:test";
import { byTopic } from "../../../eventlog/kafka/wire/by-topic.ts";
import { WireReader } from "../../../eventlog/kafka/wire/wire-reader.ts";
import { WireWriter } from "../../../eventlog/kafka/wire/wire-writer.ts";

function bytesOf(write: (writer: WireWriter) => void): Buffer {
  const writer = new WireWriter();
  write(writer);
  const length = writer.byteLength;
  const bytes = Buffer.concat(writer.finish());
  assert.equal(bytes.length, length);
  return bytes;
}

test("every primitive type reads back as it was written", () => {
  const long = "ü".repeat(1_000);
  const bytes = bytesOf((writer) => {
    writer.int8(-1).boolean(true).int16(-2).int32(-3).int64(-4).int64(Number.MAX_SAFE_INTEGER).int64(Number.MIN_SAFE_INTEGER);
    for (const value of [0, 127, 128, 16_383, 16_384, 2 ** 31 - 1]) writer.uvarint(value);
    writer.string(long).nullableString(null).nullableString(undefined).compactString(long).compactNullableString(null).compactString("");
    writer
      .array([1, 2], (to, item) => to.int32(item))
      .compactArray(["a", "b"], (to, item) => to.compactString(item))
      .noTags();
  });
  const reader = new WireReader(bytes);
  assert.deepEqual([reader.int8(), reader.boolean(), reader.int16(), reader.int32(), reader.int64()], [-1, true, -2, -3, -4]);
  assert.deepEqual([reader.int64(), reader.int64()], [Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER]);
  for (const value of [0, 127, 128, 16_383, 16_384, 2 ** 31 - 1]) assert.equal(reader.uvarint(), value);
  assert.equal(reader.string(), long);
  assert.deepEqual([reader.nullableString(), reader.nullableString()], [null, null]);
  assert.deepEqual([reader.compactString(), reader.compactNullableString(), reader.compactString()], [long, null, ""]);
  assert.deepEqual(
    reader.array((from) => from.int32()),
    [1, 2],
  );
  assert.deepEqual(
    reader.compactArray((from) => from.compactString()),
    ["a", "b"],
  );
  reader.tags();
  assert.throws(() => reader.int8(), RangeError);
});

test("large byte fields go out uncopied and in order, small ones are copied", () => {
  const [small, large] = [Buffer.alloc(10, 1), Buffer.alloc(10_000, 2)];
  const writer = new WireWriter().int32(7).bytes(small).bytes(large).int32(8);
  const chunks = writer.finish();
  assert.equal(chunks.length, 3);
  assert.equal(chunks[1], large);
  const reader = new WireReader(Buffer.concat(chunks));
  assert.deepEqual([reader.int32(), reader.bytes(), reader.bytes(), reader.int32()], [7, small, large, 8]);
});

test("null arrays and bytes read as empty, unknown tags are skipped", () => {
  const reader = new WireReader(Buffer.from([255, 255, 255, 255, 255, 255, 255, 255, 0, /* tags: */ 2, 0, 3, 9, 9, 9, 5, 0, 42]));
  assert.deepEqual(
    reader.array((from) => from.int8()),
    [],
  );
  assert.equal(reader.bytes().length, 0);
  assert.deepEqual(
    reader.compactArray((from) => from.int8()),
    [],
  );
  reader.tags();
  assert.equal(reader.int8(), 42);
});

test("a varint that never ends is an error", () => {
  assert.throws(() => new WireReader(Buffer.alloc(20, 0xff)).uvarint(), RangeError);
});

test("entries are grouped by topic in the order of their first one", () => {
  const entry = (topic: string, partition: number) => ({ topic, partition });
  const groups = byTopic([entry("b", 1), entry("a", 0), entry("b", 0)]);
  assert.deepEqual(groups, [
    { topic: "b", partitions: [entry("b", 1), entry("b", 0)] },
    { topic: "a", partitions: [entry("a", 0)] },
  ]);
});
