import assert from "node:assert/strict";
import { test } from "node:test";
import { pino } from "pino";
import { Retries } from "../../../runtime/retries.ts";

function logged(): { lines: string[]; logger: pino.Logger } {
  const lines: string[] = [];
  const write = (text: string): void => {
    const { level, msg } = JSON.parse(text) as { level: number; msg: string };
    lines.push(`${pino.levels.labels[level]} ${msg}`);
  };
  return { lines, logger: pino({ level: "info" }, { write }) };
}

test("pauses double from 2 s to 60 s, however often it fails, and begin anew once it worked", () => {
  const retries = new Retries(pino({ level: "silent" }), () => 0);
  const pauses = (): number[] => Array.from({ length: 7 }, () => retries.failed("a", new Error("x"), "it failed"));
  assert.deepEqual(pauses(), [2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
  for (let i = 0; i < 2_000; i++) assert.equal(retries.failed("a", new Error("x"), "it failed"), 60_000);
  assert.equal(retries.failed("b", new Error("x"), "it failed"), 2_000, "each name has its own");
  retries.worked("a", "it works");
  assert.equal(pauses()[0], 2_000);
});

test("up to half of a pause is random", () => {
  const retries = new Retries(pino({ level: "silent" }), () => 0.999);
  assert.deepEqual(
    [1, 2, 3].map(() => retries.failed("a", new Error("x"), "it failed")),
    [1_001, 2_002, 4_004],
  );
});

test("what fails is said when it begins and when it is over, and counted in between; what is not wanted any more is not", () => {
  const { lines, logger } = logged();
  const retries = new Retries(logger);
  for (const name of ["a", "a", "b", "a"]) retries.failed(name, new Error("x"), "a copy failed");
  assert.deepEqual(retries.failing, ["a", "b"]);
  for (const name of ["a", "a", "never"]) retries.worked(name, "it has caught up");
  retries.forget("b");
  retries.worked("b", "it has caught up");
  assert.deepEqual(retries.failing, []);
  assert.deepEqual(lines, [
    "warn a copy failed: tried again until it works",
    "warn a copy failed: tried again until it works",
    "info it has caught up",
  ]);
});
