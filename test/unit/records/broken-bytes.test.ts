import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { LogError } from "../../../eventlog/errors.ts";
import type { Compression } from "../../../eventlog/port.ts";
import { BatchBuilder } from "../../../eventlog/records/batch-builder.ts";
import { AT, HEADER_BYTES, LENGTH_PREFIX_BYTES } from "../../../eventlog/records/batch-format.ts";
import { compress, decompress } from "../../../eventlog/records/compression.ts";
import { crc32c } from "../../../eventlog/records/crc32c.ts";
import { decodeHeaders } from "../../../eventlog/records/decode-headers.ts";
import { encodeBatch } from "../../../eventlog/records/encode-batch.ts";
import { parseBatches } from "../../../eventlog/records/parse-batches.ts";
import type { RecordsView } from "../../../eventlog/records/view.ts";
import { SourceCursor } from "../../../runtime/source-cursor.ts";
import { JAVA_BATCHES, javaBatch } from "../../golden/java-batch.ts";

const CRC_AT = AT.crc;
const COVERED_FROM = AT.attributes;

function sample(compression: Compression = "none"): Buffer {
  const builder = new BatchBuilder("t", 0, 1_000_000);
  for (let i = 0; i < 40; i++) {
    const value = Buffer.from(`value ${i} of a telling length`);
    builder.append(1_767_225_600_000 + i, Buffer.from("k"), 0, 1, value, 0, value.length, [{ key: "h", value: Buffer.from("x") }]);
  }
  return Buffer.from(encodeBatch(builder.batches[0], { baseOffset: 5, compression }));
}

/** Reads everything there is to read, as a user would. */
function readAll(bytes: Buffer): number {
  let records = 0;
  for (const batch of parseBatches(bytes)) {
    if (batch.isControl) {
      assert.ok(batch.controlType !== null);
      continue;
    }
    const view = batch.records();
    for (let i = 0; i < view.count; i++) {
      view.key(i);
      view.value(i);
      view.headers(i);
      records++;
    }
  }
  return records;
}

function seal(bytes: Buffer): Buffer {
  bytes.writeUInt32BE(crc32c(bytes, COVERED_FROM), CRC_AT);
  return bytes;
}

/** Offsets and leader epoch are the broker's to set, and the length is found wrong before the checksum is. */
const isUnderChecksum = (at: number): boolean => at >= AT.magic;

function onlyLogErrors(run: () => void): void {
  try {
    run();
  } catch (error) {
    if (!(error instanceof LogError)) throw error;
    assert.ok(["corrupt-batch", "batch-too-large", "unsupported-compression"].includes(error.code), error.code);
  }
}

test("a batch cut off at any byte is skipped, and the whole ones before it are read", () => {
  const one = sample();
  const two = Buffer.concat([one, one]);
  for (let length = one.length; length < two.length; length++) assert.equal(readAll(two.subarray(0, length)), 40, `${length}`);
  for (let length = 0; length < one.length; length++) assert.equal(readAll(one.subarray(0, length)), 0, `${length}`);
});

test("stored bytes that are cut off are corrupt", () => {
  const bytes = sample();
  assert.throws(() => [...parseBatches(bytes, 0, bytes.length - 1, { partialTail: "error" })], { code: "corrupt-batch" });
});

test("every flipped bit under the checksum is found", () => {
  const bytes = sample();
  for (let at = CRC_AT; at < bytes.length; at++) {
    for (let bit = 0; bit < 8; bit++) {
      bytes[at] ^= 1 << bit;
      assert.throws(() => [...parseBatches(bytes)], { code: "corrupt-batch" }, `byte ${at} bit ${bit}`);
      bytes[at] ^= 1 << bit;
    }
  }
});

test("message formats 0 and 1 are named in the error", () => {
  for (const magic of [0, 1]) {
    const bytes = sample();
    bytes[16] = magic;
    assert.throws(() => [...parseBatches(bytes)], { code: "corrupt-batch", message: new RegExp(`format version ${magic}`) });
  }
});

test("hostile batches with a right checksum give a LogError or records, nothing else", () => {
  const compressions: Compression[] = ["none", "gzip", "snappy", "lz4", "zstd"];
  const change = fc.record({ at: fc.nat(), to: fc.oneof(fc.constantFrom(0, 0x7f, 0x80, 0xff), fc.nat(255)) });
  fc.assert(
    fc.property(fc.constantFrom(...compressions), fc.array(change, { minLength: 1, maxLength: 6 }), (compression, changes) => {
      const bytes = sample(compression);
      for (const { at, to } of changes) bytes[COVERED_FROM + (at % (bytes.length - COVERED_FROM))] = to;
      seal(bytes);
      onlyLogErrors(() => readAll(bytes));
    }),
    { numRuns: 1000 },
  );
});

test("noise is never decompressed into anything but a LogError or bytes", () => {
  fc.assert(
    fc.property(
      fc.constantFrom<Compression>("gzip", "snappy", "lz4", "zstd"),
      fc.uint8Array({ maxLength: 300 }),
      fc.boolean(),
      (compression, noise, framed) => {
        const valid = compress(compression, Buffer.from("some text some text some text some text"));
        const bytes = framed ? Buffer.concat([valid.subarray(0, 19), Buffer.from(noise)]) : Buffer.from(noise);
        onlyLogErrors(() => decompress(compression, bytes, 100_000));
      },
    ),
    { numRuns: 1000 },
  );
});

test("records that claim the same offset, or one past the batch's last, are corrupt", () => {
  const builder = new BatchBuilder("t", 0, 1000);
  for (let i = 0; i < 2; i++) builder.append(0, null, 0, 0, null, 0, 0);
  const second = 61 + 7; // a record without anything is 7 bytes
  for (const offsetDelta of [0, 2]) {
    const bytes = Buffer.from(encodeBatch(builder.batches[0], {}));
    bytes[second + 3] = offsetDelta * 2; // zigzag
    seal(bytes);
    assert.throws(() => readAll(bytes), { code: "corrupt-batch", message: /offset is impossible/ });
  }
});

test("headers whose lengths are negative or past the end are corrupt", () => {
  const [count, none, tooLong, missing] = [2, 0, 100, 1]; // zigzag: 1, 0, 50, -1
  const hostile = [[missing], [count, missing, none], [count, tooLong, none], [count, none, tooLong], [tooLong, none, none]];
  for (const bytes of hostile)
    assert.throws(() => decodeHeaders(Buffer.from(bytes), 0, bytes.length), { code: "corrupt-batch" }, bytes.join(" "));
  assert.deepEqual(decodeHeaders(Buffer.from([count, none, missing]), 0, 3), [{ key: "", value: null }]);
});

test("a header count that reaches into the next record is corrupt, and so is one that leaves bytes over", () => {
  const builder = new BatchBuilder("t", 0, 1000);
  const value = Buffer.alloc(3, 0); // read as headers: empty keys and values
  for (const headers of [[], [{ key: "a", value: Buffer.from("b") }]])
    builder.append(0, null, 0, 0, value, 0, value.length, headers.length === 0 ? undefined : headers);
  const whole = Buffer.from(encodeBatch(builder.batches[0], {}));
  const view = (bytes: Buffer): RecordsView => [...parseBatches(seal(bytes))][0].records();
  const { headerStarts } = view(whole);
  for (const [record, count] of [
    [0, 1],
    [0, 3],
    [1, 0],
    [1, 2],
  ]) {
    const bytes = Buffer.from(whole);
    bytes[headerStarts[record]] = count * 2; // zigzag
    const broken = view(bytes);
    assert.throws(() => broken.headers(record), { code: "corrupt-batch" }, `record ${record} with ${count} headers`);
    const cursor = new SourceCursor();
    cursor.moveTo("t", 0, broken, record);
    if (count > record) assert.throws(() => cursor.headerText("wanted"), { code: "corrupt-batch" });
  }
});

for (const name of JAVA_BATCHES) {
  test(`every byte of a batch of the Java client counts: ${name}`, () => {
    const bytes = javaBatch(name);
    const records = readAll(bytes);
    for (let at = 0; at < bytes.length; at++) {
      const was = bytes[at];
      for (const to of [was ^ 0x01, was ^ 0xff]) {
        bytes[at] = to;
        if (isUnderChecksum(at)) assert.throws(() => readAll(bytes), { code: "corrupt-batch" }, `byte ${at} is ${to}`);
        else onlyLogErrors(() => assert.ok([0, records].includes(readAll(bytes)), `byte ${at} is ${to}`));
      }
      bytes[at] = was;
    }
  });

  test(`a batch of the Java client with any byte changed and a right checksum gives a LogError or all records: ${name}`, () => {
    const bytes = javaBatch(name);
    const records = readAll(bytes);
    for (let at = COVERED_FROM; at < bytes.length; at++) {
      const was = bytes[at];
      for (const to of [was ^ 0x01, was ^ 0x80]) {
        bytes[at] = to;
        onlyLogErrors(() => assert.equal(readAll(seal(bytes)), records, `byte ${at} is ${to}`));
      }
      bytes[at] = was;
    }
    assert.deepEqual(seal(bytes), javaBatch(name));
  });

  test(`a batch of the Java client cut off anywhere is skipped, and corrupt when its length and checksum hide the cut: ${name}`, () => {
    const whole = javaBatch(name);
    for (let length = 1; length < whole.length; length++) {
      const cut = Buffer.from(whole.subarray(0, length));
      assert.equal(readAll(cut), 0, `${length}`);
      assert.throws(() => [...parseBatches(cut, 0, length, { partialTail: "error" })], { code: "corrupt-batch" }, `${length}`);
      if (length < HEADER_BYTES) continue;
      cut.writeInt32BE(length - LENGTH_PREFIX_BYTES, AT.batchLength);
      assert.throws(() => readAll(seal(cut)), { code: "corrupt-batch" }, `${length}`);
    }
  });
}
