import assert from "node:assert/strict";
import { test } from "node:test";
import { BatchBuilder } from "../../../eventlog/records/batch-builder.ts";
import { encodeBatch } from "../../../eventlog/records/encode-batch.ts";
import { parseBatches } from "../../../eventlog/records/parse-batches.ts";
import { javaBatch } from "../../golden/java-batch.ts";

const RECORDS = 200;

function expected(i: number): {
  timestamp: number;
  key: string | null;
  value: string | null;
  headers: { key: string; value: Buffer | null }[];
} {
  return {
    timestamp: 1_767_225_600_000 + (i === 0 ? 0 : i % 2 === 0 ? i * 1000 : -i * 10_000_000),
    key: i % 5 === 4 ? null : `key-${i}`,
    value: i % 7 === 6 ? null : `{"seq":${i},"tempC":21.5,"name":"gerät"}`,
    headers:
      i % 3 === 2
        ? [
            { key: "mqtt.topic", value: Buffer.from(`t/${i}`) },
            { key: "none", value: null },
          ]
        : [],
  };
}

for (const compression of ["none", "gzip", "snappy", "lz4", "zstd"] as const) {
  test(`a batch of the Java client is read exactly: ${compression}`, () => {
    const [batch] = parseBatches(javaBatch(compression), 0, undefined, { partialTail: "error" });
    assert.equal(batch.baseOffset, 7);
    assert.equal(batch.nextOffset, 7 + RECORDS);
    const view = batch.records();
    assert.equal(view.count, RECORDS);
    for (let i = 0; i < RECORDS; i++) {
      const record = {
        timestamp: view.timestamps[i],
        key: view.key(i)?.toString() ?? null,
        value: view.value(i)?.toString() ?? null,
        headers: view.headers(i),
      };
      assert.deepEqual(record, expected(i));
    }
  });
}

test("our bytes for the same records are those of the Java client", () => {
  const builder = new BatchBuilder("t", 0, 1_000_000);
  for (let i = 0; i < RECORDS; i++) {
    const { timestamp, key, value, headers } = expected(i);
    const keyBytes = key === null ? null : Buffer.from(key);
    const valueBytes = value === null ? null : Buffer.from(value);
    builder.append(timestamp, keyBytes, 0, keyBytes?.length ?? 0, valueBytes, 0, valueBytes?.length ?? 0, headers);
  }
  assert.equal(encodeBatch(builder.batches[0], { baseOffset: 7 }).toString("hex"), javaBatch("none").toString("hex"));
});

test("an abort marker of the Java client is one", () => {
  const [batch] = parseBatches(javaBatch("abort-marker"));
  assert.equal(batch.controlType, "abort");
  assert.equal(batch.producerId, 9);
  assert.equal(batch.producerEpoch, 2);
  assert.equal(batch.isTransactional, true);
});
