import assert from "node:assert/strict";
import { test } from "node:test";
import { RouteCache } from "../../../bridge/route-cache.ts";
import { partitionForKey } from "../../../eventlog/records/murmur2.ts";

const TARGETS = { raw: "raw", rawPartitions: 8, dlq: "dlq", dlqPartitions: 3 };

test("a device's records go to the partition Java's partitioner gives its key", () => {
  const route = new RouteCache(TARGETS, 10).route("t/demo/d/device-123/telemetry");
  const key = Buffer.from("demo|device-123");
  assert.deepEqual(Buffer.from(route.key ?? []), key);
  assert.deepEqual(route.target, { topic: "raw", partition: partitionForKey(key, 0, key.length, 8) });
  assert.deepEqual(route.dlq, { topic: "dlq", partition: partitionForKey(key, 0, key.length, 3) });
});

test("a tenant with a raw topic of its own: its devices go there, by that topic's partitions, and nobody else's", () => {
  const cache = new RouteCache(
    { ...TARGETS, acks: "acks", acksPartitions: 2, tenantRaw: new Map([["acme", { topic: "raw.acme", partitions: 5 }]]) },
    10,
  );
  const key = Buffer.from("acme|d1");
  assert.deepEqual(cache.route("t/acme/d/d1/telemetry").target, { topic: "raw.acme", partition: partitionForKey(key, 0, key.length, 5) });
  for (const tenant of ["ACME", "acme ", "acm", "acme2", "other"])
    assert.equal(cache.route(`t/${tenant}/d/d1/telemetry`).target.topic, "raw");
  assert.equal(cache.route("t/acme/d/d1/cmd/ack").target.topic, "acks", "answers to commands have their own topic");
});

test("a topic that does not parse has no key, has a dead-letter partition, and is not remembered", () => {
  const cache = new RouteCache(TARGETS, 10);
  const route = cache.route("weather/paris");
  assert.equal(route.key, null);
  assert.equal(route.dlq.topic, "dlq");
  assert.equal(cache.size, 0, "topics of any length would fill the memory");
});

test("the cache keeps what is used and never more than its bound", () => {
  const cache = new RouteCache(TARGETS, 100);
  const busy = cache.route("t/demo/d/busy/telemetry");
  for (let i = 0; i < 10_000; i++) {
    cache.route(`t/demo/d/${i}/telemetry`);
    if (i % 20 === 0) assert.equal(cache.route("t/demo/d/busy/telemetry"), busy);
    assert.ok(cache.size <= 100);
  }
});
