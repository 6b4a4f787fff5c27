import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { LogError } from "../../../eventlog/errors.ts";
import { Fixture } from "./forwarder-fixture.ts";

test("a raw record is the device's bytes under its key, with the design's headers and the receive time", () => {
  const f = new Fixture();
  const before = Date.now();
  f.take(1, { payload: Buffer.from([0, 255, 1]), retain: true, dup: true });
  const [record] = f.writer.sent;
  assert.deepEqual([record.topic, record.key, [...record.value]], ["raw", "demo|a", [0, 255, 1]]);
  assert.ok(record.timestamp >= before && record.timestamp <= Date.now());
  assert.deepEqual(record.headers, {
    "mqtt.topic": "t/demo/d/a/telemetry",
    "mqtt.qos": "1",
    "mqtt.dup": "1",
    "mqtt.retain": "1",
    "content-type": "application/json",
    "ingress.ts": String(record.timestamp),
    "ingress.id": "ingress-1",
  });
});

test("an MQTT 5 content type is kept", () => {
  const f = new Fixture();
  f.take(1, { contentType: "avro/binary" });
  assert.equal(f.writer.sent[0].headers["content-type"], "avro/binary");
});

test("MQTT 5 user properties and what is left of the message's life are headers, under names that are no others'", () => {
  const f = new Fixture();
  f.take(1, { userProperties: [{ name: "mqtt.topic", value: "forged" }], messageExpiryS: 60 });
  f.take(2);
  const { headers } = f.writer.sent[0];
  assert.equal(headers["mqtt.user.mqtt.topic"], "forged");
  assert.equal(headers["mqtt.topic"], "t/demo/d/a/telemetry");
  assert.equal(headers["mqtt.expiry"], "60");
  assert.deepEqual(Object.keys(f.writer.sent[1].headers), Object.keys(headers).slice(0, 7), "a message without them has none");
});

test("nothing is acknowledged before it is durable, and then in receive order", async () => {
  const f = new Fixture();
  for (const id of [5, 3, 9]) f.take(id);
  await f.settled();
  assert.deepEqual(f.acks, []);
  f.writer.sent[2].done();
  f.writer.sent[1].done();
  await f.settled();
  assert.deepEqual(f.acks, [], "the head is not durable yet");
  f.writer.sent[0].done();
  await f.settled();
  assert.deepEqual(f.acks, ["puback 5", "puback 3", "puback 9"]);
});

test("another slot's message is acknowledged in its turn and not written, within the window, and counted", async () => {
  const f = new Fixture({ windowMessages: 4 }, undefined, { owns: (topic) => topic.includes("/own/") });
  const own = { topic: "t/demo/d/own/telemetry" };
  f.take(1, own);
  f.take(2);
  f.take(3, { qos: 2 });
  f.take(9, { qos: 0 });
  f.take(4, own);
  assert.equal(f.take(5), false, "what is not acknowledged counts, whoever's it is");
  await f.settled();
  assert.deepEqual(f.acks, []);
  assert.equal(f.writer.sent.length, 2);
  f.writer.sent[0].done();
  await f.settled();
  assert.deepEqual(f.acks, ["puback 1", "puback 2", "pubrec 3"]);
  assert.equal(f.roomAgain, 1);
  const { foreign, received, written } = f.forwarder.counters;
  assert.deepEqual({ foreign, received, written }, { foreign: 3, received: [1, 3, 1], written: 1 });
});

test("a late acknowledgement after a reconnect is never sent, even when the packet id is in use again", async () => {
  const f = new Fixture();
  f.take(7);
  f.forwarder.connectionLost();
  f.forwarder.connectionOpened(true);
  f.take(7, { payload: Buffer.from("another message") });
  f.writer.sent[0].done();
  await f.settled();
  assert.deepEqual(f.acks, []);
  f.writer.sent[1].done();
  await f.settled();
  assert.deepEqual(f.acks, ["puback 7"]);
});

test("beyond the window a message is refused, and offered again when there is room", async () => {
  const f = new Fixture({ windowMessages: 2 });
  assert.deepEqual([f.take(1), f.take(2), f.take(3)], [true, true, false]);
  assert.equal(f.writer.sent.length, 2);
  f.writer.sent[0].done();
  await f.settled();
  assert.equal(f.roomAgain, 1);
  assert.equal(f.take(3), true);
});

test("the window also counts bytes; a single message over it still passes", () => {
  const f = new Fixture({ windowBytes: 700 });
  assert.equal(f.take(1, { payload: Buffer.alloc(900) }), true);
  assert.equal(f.take(2), false);
});

test("writes of a lost connection still count against the window", async () => {
  const f = new Fixture({ windowMessages: 2 });
  f.take(1);
  f.take(2);
  f.forwarder.connectionLost();
  assert.equal(f.take(1, { dup: true }), false);
  f.writer.release();
  await f.settled();
  assert.equal(f.roomAgain, 1);
});

test("QoS 0 beyond its buffer is shed and counted, never acknowledged, and does not use the window", async () => {
  const f = new Fixture({ qos0Messages: 3, windowMessages: 1 });
  for (let i = 0; i < 5; i++) assert.equal(f.take(0, { qos: 0 }), true);
  assert.equal(f.writer.sent.length, 3);
  assert.equal(f.forwarder.counters.shed, 2);
  assert.equal(f.take(1), true);
  f.writer.release();
  await f.settled();
  assert.deepEqual(f.acks, ["puback 1"]);
  assert.equal(f.forwarder.inFlight, 0);
});

test("a QoS 0 message whose write fails is counted as shed and ends nothing", () => {
  const f = new Fixture();
  f.take(0, { qos: 0 });
  f.writer.sent[0].done(new LogError("unavailable", "away"));
  assert.deepEqual([f.forwarder.counters.shed, f.redeliveries.length], [1, 0]);
});

test("a failed write is not acknowledged: the connection ends, and what came after waits for redelivery too", async () => {
  const f = new Fixture();
  for (const id of [1, 2, 3]) f.take(id);
  f.writer.sent[0].done();
  f.writer.sent[2].done();
  await f.settled();
  f.writer.sent[1].done(new LogError("unknown-outcome", "timed out"));
  await f.settled();
  assert.deepEqual(f.acks, ["puback 1"]);
  assert.deepEqual(
    f.redeliveries.map((error) => (error as { code?: string }).code),
    ["write-failed"],
  );
});

test("a burst of failures ends the connection once", () => {
  const f = new Fixture();
  for (const id of [1, 2, 3]) f.take(id);
  for (const record of f.writer.sent) record.done(new LogError("closed", "closed"));
  assert.equal(f.redeliveries.length, 1);
  assert.equal(f.forwarder.inFlight, 0);
});

test("a writer that refuses in place is a failed write", () => {
  const f = new Fixture();
  f.writer.send = () => {
    throw new LogError("buffer-full", "full");
  };
  assert.equal(f.take(1), true);
  assert.equal(f.redeliveries.length, 1);
  assert.equal(f.forwarder.inFlight, 0);
});

test("a bad topic is a dead letter with its bytes, then acknowledged; the stream goes on", async () => {
  const f = new Fixture();
  f.take(1);
  f.take(2, { topic: "t/demo/d/a|b/telemetry", payload: Buffer.from("x") });
  f.take(3);
  const letter = f.writer.sent[1];
  assert.deepEqual([letter.topic, letter.key, letter.value.toString()], ["dlq", null, "x"]);
  assert.equal(letter.headers["dlq.reason"], "bad-topic");
  assert.equal(letter.headers["dlq.stage"], "ingress");
  assert.equal(letter.headers["mqtt.topic"], "t/demo/d/a|b/telemetry");
  f.writer.release();
  await f.settled();
  assert.deepEqual(f.acks, ["puback 1", "puback 2", "puback 3"]);
  assert.deepEqual([...f.forwarder.counters.deadLetters], [["bad-topic", 1]]);
  assert.equal(f.forwarder.counters.written, 2);
});

test("a value over the limit is a dead letter with its first 64 KiB, length and hash, acknowledged when that is durable", async () => {
  const f = new Fixture({ maxValueBytes: 100_000, windowBytes: 1 << 30 });
  const payload = Buffer.alloc(5_000_000, "abc");
  f.take(1, { payload });
  const [letter] = f.writer.sent;
  assert.deepEqual([letter.topic, letter.key], ["dlq", "demo|a"]);
  assert.deepEqual(letter.value, payload.subarray(0, 65_536));
  assert.equal(letter.headers["dlq.reason"], "too-large");
  assert.equal(letter.headers["dlq.length"], "5000000");
  assert.equal(letter.headers["dlq.sha256"], createHash("sha256").update(payload).digest("hex"));
  await f.settled();
  assert.deepEqual(f.acks, []);
  letter.done();
  await f.settled();
  assert.deepEqual(f.acks, ["puback 1"]);
});

test("a record the log finds too large becomes a dead letter, not an endless redelivery", async () => {
  const f = new Fixture();
  f.take(1);
  f.writer.sent[0].done(new LogError("record-too-large", "topic limit"));
  assert.deepEqual([f.writer.sent[1].topic, f.writer.sent[1].headers["dlq.reason"]], ["dlq", "too-large"]);
  f.writer.sent[1].done();
  await f.settled();
  assert.deepEqual([f.acks, f.redeliveries.length], [["puback 1"], 0]);
});

test("QoS 2: PUBREC only after durable", async () => {
  const f = new Fixture();
  f.take(4, { qos: 2 });
  await f.settled();
  assert.deepEqual(f.acks, []);
  f.writer.release();
  await f.settled();
  assert.deepEqual(f.acks, ["pubrec 4"]);
});

test("QoS 2: sent again before PUBREL it is not written twice, whether or not the first write is durable", async () => {
  const f = new Fixture();
  f.take(4, { qos: 2 });
  f.take(5, { qos: 2 });
  f.writer.sent[1].done();
  f.forwarder.connectionLost();
  f.forwarder.connectionOpened(true);
  f.take(4, { qos: 2, dup: true });
  f.take(5, { qos: 2, dup: false });
  assert.equal(f.writer.sent.length, 2);
  await f.settled();
  assert.deepEqual(f.acks, [], "4 is still being written");
  f.writer.sent[0].done();
  await f.settled();
  assert.deepEqual(f.acks, ["pubrec 4", "pubrec 5"]);
  assert.equal(f.forwarder.counters.redelivered, 2);
});

test("QoS 2: after PUBREL, and in a new session, the packet id is another message", () => {
  const f = new Fixture();
  f.take(4, { qos: 2 });
  f.writer.release();
  f.forwarder.released(4);
  f.take(4, { qos: 2 });
  assert.equal(f.writer.sent.length, 2);
  f.writer.release();
  f.forwarder.connectionLost();
  f.forwarder.connectionOpened(false);
  f.take(4, { qos: 2 });
  assert.equal(f.writer.sent.length, 3);
});

test("QoS 2: a message whose write failed is written again when it is sent again", async () => {
  const f = new Fixture();
  f.take(4, { qos: 2 });
  f.writer.sent[0].done(new LogError("unavailable", "away"));
  assert.equal(f.redeliveries.length, 1);
  f.forwarder.connectionOpened(true);
  f.take(4, { qos: 2, dup: true });
  assert.equal(f.writer.sent.length, 2);
  f.writer.release();
  await f.settled();
  assert.deepEqual(f.acks, ["pubrec 4"]);
});

test("QoS 2: when the write of an earlier connection fails, the one waiting on this connection ends it", () => {
  const f = new Fixture();
  f.take(4, { qos: 2 });
  f.forwarder.connectionLost();
  f.forwarder.connectionOpened(true);
  f.take(4, { qos: 2, dup: true });
  f.writer.sent[0].done(new LogError("unavailable", "away"));
  assert.equal(f.redeliveries.length, 1);
});
