/** Whatever a device sends, on whatever topic: one record for each message, raw or dead letter, with its bytes, and a count. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { RouteCache } from "../../../bridge/route-cache.ts";
import { partitionForKey } from "../../../eventlog/records/murmur2.ts";
import { BOUNDS, Fixture, testAdmission, type TestMessage } from "./forwarder-fixture.ts";

const KEPT_BYTES = 64 * 1024;
const MAX_TOPIC_BYTES = 65_535;

const anyTopic = fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes).toString("utf8"));
const level = fc.oneof(anyTopic, fc.constantFrom("", "a", "|", "+", "#", "$share", "\0", "x".repeat(257), "\u{1f600}"));
const topic = fc.oneof(
  anyTopic,
  fc.tuple(level, level).map(([tenant, device]) => `t/${tenant}/d/${device}/telemetry`),
  fc.tuple(level, level).map(([tenant, device]) => `t/${tenant}/d/${device}/cmd/ack`),
  fc.constant("/".repeat(MAX_TOPIC_BYTES)),
);
const payload = fc.oneof(
  { weight: 9, arbitrary: fc.uint8Array({ maxLength: 1_100 }).map((bytes) => Buffer.from(bytes)) },
  { weight: 1, arbitrary: fc.integer({ min: BOUNDS.maxValueBytes - 1, max: 3 * KEPT_BYTES }).map((bytes) => Buffer.alloc(bytes, "x")) },
);
const message: fc.Arbitrary<Partial<TestMessage> & Pick<TestMessage, "topic" | "payload" | "qos">> = fc.record({
  topic,
  payload,
  qos: fc.constantFrom(0 as const, 1 as const, 2 as const),
  dup: fc.boolean(),
  retain: fc.boolean(),
  contentType: fc.option(fc.oneof(anyTopic, fc.constant("x".repeat(MAX_TOPIC_BYTES))), { nil: undefined }),
  correlation: fc.option(
    fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
    { nil: undefined },
  ),
});

const admissions = {
  "without limits": () => undefined,
  "with limits that shed": () =>
    testAdmission({
      deviceRate: { perSecond: 1, burst: 2, policy: "shed" },
      maxPayload: { bytes: 500, policy: "shed" },
    }),
} as const;

for (const [name, admission] of Object.entries(admissions)) {
  test(`any bytes on any topic become one record with these bytes, ${name}: raw, shed, or a dead letter that says why`, () => {
    fc.assert(
      fc.property(fc.array(message, { maxLength: 30 }), (messages) => {
        const f = new Fixture({ windowMessages: 100, qos0Messages: 100, windowBytes: 1 << 24, qos0Bytes: 1 << 24 }, admission());
        for (const [index, one] of messages.entries()) {
          assert.ok(f.take(index + 1, { ...one, messageId: index + 1 }), "there is room");
          assert.equal(f.writer.sent.length, index + 1, "one record");
          const { topic: target, key, value, headers, partition } = f.writer.sent[index];
          const bytes = Buffer.from(one.payload);
          assert.ok(target === "dlq" || target === "raw" || target === "shed");
          assert.ok(partition >= 0 && partition < 4);
          if (target === "dlq") {
            assert.match(headers["dlq.reason"], /^(bad-topic|too-large)$/);
            assert.equal(headers["dlq.source"], one.topic);
            if (headers["dlq.length"] !== undefined) {
              assert.equal(headers["dlq.length"], String(bytes.length));
              assert.equal(headers["dlq.sha256"], createHash("sha256").update(bytes).digest("hex"));
            }
            assert.deepEqual(value, bytes.subarray(0, headers["dlq.length"] === undefined ? bytes.length : KEPT_BYTES));
          } else {
            const [tenant, device, ...rest] = String(key).split("|");
            assert.deepEqual(rest, [], "the key is a tenant and a device");
            assert.ok(one.topic === `t/${tenant}/d/${device}/telemetry`, "which the topic names");
            assert.deepEqual(value, bytes);
            const keyBytes = Buffer.from(String(key));
            assert.equal(partition, partitionForKey(keyBytes, 0, keyBytes.length, 4));
          }
        }
        f.writer.release();
        f.forwarder.flushAcks();
        const { received, written, deadLetters } = f.forwarder.counters;
        const sum = (numbers: Iterable<number>): number => [...numbers].reduce((total, one) => total + one, 0);
        const shed = f.writer.sent.filter(({ topic }) => topic === "shed").length;
        assert.equal(sum(received), messages.length);
        assert.equal(written + sum(deadLetters.values()) + shed, messages.length, "each is counted once");
        assert.equal(f.acks.length, messages.filter(({ qos }) => qos > 0).length);
        assert.deepEqual([f.forwarder.inFlight, f.forwarder.inFlightBytes], [0, 0]);
      }),
      { numRuns: 300 },
    );
  });
}

test("topics that are no UTF-8 are dead letters: as text two devices' could be one", () => {
  const cache = new RouteCache({ raw: "raw", rawPartitions: 4, dlq: "dlq", dlqPartitions: 3 }, 20);
  for (const byte of [0xff, 0xfe]) {
    const bytes = Buffer.concat([Buffer.from("t/demo/d/"), Buffer.of(byte), Buffer.from("/telemetry")]);
    const { key, topicHeader } = cache.routeOf(bytes, 0, bytes.length);
    assert.equal(key, null);
    assert.deepEqual(topicHeader.value, bytes);
  }
});

test("any topic has a route, the same each time, and the cache keeps to its bound", () => {
  const cache = new RouteCache({ raw: "raw", rawPartitions: 4, dlq: "dlq", dlqPartitions: 3 }, 20);
  fc.assert(
    fc.property(topic, (text) => {
      const { key, dlq, target } = cache.route(text);
      assert.ok(dlq.partition >= 0 && dlq.partition < 3 && target.partition >= 0 && target.partition < 4);
      assert.deepEqual(cache.route(text).key, key);
      assert.ok(cache.size <= 20);
    }),
    { numRuns: 2_000 },
  );
});
