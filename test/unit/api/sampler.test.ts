import assert from "node:assert/strict";
import { test } from "node:test";
import { Sampler } from "../../../api/stream/sampler.ts";

const none = (): boolean => false;
const numbers = (count: number): number[] => Array.from({ length: count }, (_, n) => n);

test("what is within the rate passes whole and in order", () => {
  const sampler = new Sampler(100);
  assert.deepEqual(sampler.pick(numbers(60), 0, none), numbers(60));
});

test("more is thinned evenly, not cut at the end", () => {
  const picked = new Sampler(10).pick(numbers(1000), 0, none);
  assert.equal(picked.length, 10);
  for (let n = 1; n < picked.length; n++) assert.ok(Math.abs(picked[n] - picked[n - 1] - 100) <= 1);
});

test("over any time it gives the rate plus at most one second's worth", () => {
  const sampler = new Sampler(50);
  let total = 0;
  for (let now = 0; now <= 10_000; now += 20) total += sampler.pick(numbers(37), now, none).length;
  assert.ok(total >= 499 && total <= 551, String(total));
});

test("exempt events pass and cost nothing", () => {
  const sampler = new Sampler(1);
  const picked = sampler.pick(numbers(100), 0, (n) => n % 10 === 0);
  assert.equal(picked.filter((n) => n % 10 === 0).length, 10);
  assert.equal(picked.length, 11);
});

test("a clock that goes back gives no tokens", () => {
  const sampler = new Sampler(10);
  sampler.pick(numbers(10), 1000, none);
  assert.deepEqual(sampler.pick(numbers(10), 0, none), []);
});
