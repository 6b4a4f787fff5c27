import assert from "node:assert/strict";
import { test } from "node:test";
import { RejectionQueue } from "../../../bridge/shadow/rejection-queue.ts";
import { rejectionMessage, type Rejection } from "../../../bridge/shadow/rejection.ts";

const rejection = (changes: Partial<Rejection> = {}): Rejection => ({
  tenant: "demo",
  deviceId: "d1",
  code: "not-json",
  message: "no JSON",
  ts: 1_000,
  ...changes,
});

test("a rejection as its device gets it: QoS 1, never retained, with the report's correlation data and id where it had them", () => {
  const { topic, payload, options } = rejectionMessage(rejection({ correlation: Buffer.from([0, 0xff]) }));
  assert.equal(topic, "t/demo/d/d1/shadow/rejected");
  assert.deepEqual(JSON.parse(payload.toString()), { v: 1, code: "not-json", message: "no JSON", ts: 1_000 });
  assert.deepEqual([options.qos, options.retain, options.properties?.correlationData], [1, false, Buffer.from([0, 0xff])]);
  assert.equal((JSON.parse(rejectionMessage(rejection({ id: "b7:42" })).payload.toString()) as { id: string }).id, "b7:42");
});

test("a device is told once a second, two at once; of others as many as there is room for; the rest is counted", () => {
  let nowMs = 0;
  const queue = new RejectionQueue(() => nowMs);
  for (let i = 0; i < 10; i++) queue.add(rejection(), 1_000);
  assert.deepEqual([queue.size, queue.untold], [2, 8]);
  nowMs += 1_000;
  queue.add(rejection(), 1_000);
  assert.equal(queue.size, 3);
  for (let i = 0; i < 2_000; i++) queue.add(rejection({ deviceId: `other${i}` }), 1_000);
  assert.deepEqual([queue.size, queue.untold], [1_000, 8 + 1_003]);
  assert.deepEqual(
    queue.take(4, 1_000).map(({ deviceId }) => deviceId),
    ["d1", "d1", "d1", "other0"],
  );
  assert.deepEqual([queue.size, queue.told], [996, 4]);
});

test("of all devices together only so many are told, however many there are", () => {
  let nowMs = 0;
  const queue = new RejectionQueue(() => nowMs);
  const storm = (): number => {
    for (let i = 0; i < 2_000; i++) queue.add(rejection({ deviceId: `${nowMs}-${i}` }), 1_000);
    return queue.take(10_000, 1_000).length;
  };
  assert.equal(storm(), 1_000);
  nowMs += 1_000;
  assert.equal(storm(), 200);
});

test("what is too late is not told: of a log that is read again, or of a broker that was away", () => {
  const queue = new RejectionQueue(() => 0);
  queue.add(rejection(), 31_001);
  assert.deepEqual([queue.size, queue.untold], [0, 0]);
  queue.add(rejection(), 31_000);
  assert.deepEqual(queue.take(10, 31_001), []);
  assert.deepEqual([queue.size, queue.told, queue.untold], [0, 0, 1]);
});
