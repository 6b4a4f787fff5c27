import assert from "node:assert/strict";
import { test } from "node:test";
import { HeldWills } from "../../../bridge/edge/held-wills.ts";
import type { DeviceMessage } from "../../../bridge/edge/message.ts";

function will(topic: string, bytes = 7): DeviceMessage {
  return { topic, payload: Buffer.alloc(bytes), qos: 1, dup: false, retain: true, contentType: undefined, correlation: undefined };
}

function start() {
  const published: string[] = [];
  return { published, wills: new HeldWills(({ topic }) => void published.push(topic)) };
}

test("wills are published when due, in the order of their times, once", () => {
  const { wills, published } = start();
  for (const [key, due] of [
    ["a", 30],
    ["b", 10],
    ["c", 20],
    ["d", 40],
  ] as const)
    wills.hold(key, will(key), due);
  wills.forget("c");
  wills.publishDue(9);
  assert.deepEqual(published, []);
  wills.publishDue(30);
  assert.deepEqual(published, ["b", "a"]);
  wills.publishNow("d");
  wills.publishNow("d");
  wills.publishDue(Infinity);
  assert.deepEqual(published, ["b", "a", "d"]);
  assert.equal(wills.size, 0);
});

test("what is over the bounds, in number or bytes, is published at once, and nothing is lost", () => {
  const { wills, published } = start();
  for (let i = 0; i < 30_000; i++) wills.hold(String(i), will(String(i)), 1000);
  assert.deepEqual([wills.size, published.length], [20_000, 10_000]);
  for (let i = 0; i < 20_000; i++) wills.forget(String(i));
  published.length = 0;
  for (let i = 0; i < 100; i++) wills.hold(String(i), will(String(i), 1 << 20), 1000);
  assert.deepEqual([wills.size, published.length], [15, 85]);
  wills.publishDue(1000);
  assert.equal(new Set(published).size, 100);
});
