import assert from "node:assert/strict";
import { test } from "node:test";
import { Punctuators } from "../../../runtime/punctuators.ts";

test("a punctuator fires at each interval, once for intervals that were jumped over, and not after cancel", () => {
  const punctuators = new Punctuators();
  const fired: number[] = [];
  const punctuation = punctuators.schedule(10, "stream-time", 0, (now) => fired.push(now));
  for (const now of [5, 10, 11, 45, 49, 50]) if (punctuators.isDue("stream-time", now)) punctuators.run("stream-time", now);
  assert.deepEqual(fired, [10, 45, 50]);
  punctuation.cancel();
  assert.equal(punctuators.isDue("stream-time", 1_000), false);
});

test("a clock that has not begun starts the interval at its first tick", () => {
  const punctuators = new Punctuators();
  const fired: number[] = [];
  punctuators.schedule(10, "stream-time", -1, (now) => fired.push(now));
  for (const now of [1_000, 1_009, 1_010]) if (punctuators.isDue("stream-time", now)) punctuators.run("stream-time", now);
  assert.deepEqual(fired, [1_010]);
});
