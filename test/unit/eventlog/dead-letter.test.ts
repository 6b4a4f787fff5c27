import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { deadLetterHeaders, truncateDeadLetter } from "../../../eventlog/dead-letter.ts";
import type { RecordHeader } from "../../../eventlog/port.ts";

const text = (headers: readonly RecordHeader[]): [string, string | null][] =>
  headers.map((header) => [header.key, header.value === null ? null : Buffer.from(header.value).toString()]);

const letter = { reason: "not-json", message: "unexpected token", stage: "decode", source: "raw/3/17", ts: 1767225600000 };

test("a dead letter says what, why, where and when, then carries the original headers", () => {
  const original: RecordHeader[] = [
    { key: "mqtt.topic", value: Buffer.from("t/demo/d/a/telemetry") },
    { key: "empty", value: null },
  ];
  assert.deepEqual(text(deadLetterHeaders({ ...letter, original })), [
    ["dlq.reason", "not-json"],
    ["dlq.message", "unexpected token"],
    ["dlq.stage", "decode"],
    ["dlq.source", "raw/3/17"],
    ["dlq.ts", "1767225600000"],
    ["mqtt.topic", "t/demo/d/a/telemetry"],
    ["empty", null],
  ]);
});

test("a dead letter's old dlq headers give way, so that each stands once", () => {
  const original = [{ key: "dlq.reason", value: Buffer.from("schema") }];
  const reasons = text(deadLetterHeaders({ ...letter, original })).filter(([key]) => key === "dlq.reason");
  assert.deepEqual(reasons, [["dlq.reason", "not-json"]]);
});

test("a message that quotes the input is cut", () => {
  const message = text(deadLetterHeaders({ ...letter, message: "x".repeat(10_000) }))[1][1];
  assert.equal(message?.length, 500);
});

test("a value within the limit stays the same bytes and has no cut", () => {
  const value = Buffer.from([0, 255, 10]);
  assert.deepEqual(truncateDeadLetter(value, 3), { value, cut: undefined });
});

test("a value over the limit keeps its first bytes, its length and the hash of the whole", () => {
  const value = Buffer.alloc(5_000_000, "abc");
  const { value: kept, cut } = truncateDeadLetter(value, 65_536);
  assert.deepEqual(Buffer.from(kept), value.subarray(0, 65_536));
  assert.deepEqual(cut, { length: 5_000_000, sha256: createHash("sha256").update(value).digest("hex") });
  const headers = new Map(text(deadLetterHeaders({ ...letter, cut })));
  assert.equal(headers.get("dlq.length"), "5000000");
  assert.equal(headers.get("dlq.sha256"), cut?.sha256);
});
