import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { Report } from "../../../scripts/count-reporter.ts";
import { runCommand } from "../../support/run-command.ts";
import { tempDir } from "../../support/temp-dir.ts";

const FILE = `
import { test } from "node:test";
test("around", async (t) => {
  await t.test("inside", () => { throw new TypeError("the reason"); });
  await t.test("fine", () => {});
});
test("too slow", { timeout: 20 }, () => new Promise(() => setTimeout(() => {}, 1_000)));
`;

test("a run's report counts its tests and names what failed, once and with the reason", async (t) => {
  const file = join(tempDir(t, "report"), "some.test.mjs");
  writeFileSync(file, FILE);
  const reporter = new URL("../../../scripts/count-reporter.ts", import.meta.url).pathname;
  // Else it takes itself for a file of the run that this test is in.
  const fresh = ["-u", "NODE_TEST_CONTEXT", process.execPath];
  const args = ["--test", `--test-reporter=${reporter}`, "--test-reporter-destination=stdout", file];
  const run = await runCommand("env", [...fresh, ...args], { timeoutMs: 20_000 });
  const report = JSON.parse(String(run.stdout)) as Report;
  assert.deepEqual(report.counts, { tests: 4, passed: 1, failed: 2, cancelled: 1, skipped: 0, todo: 0 });
  assert.deepEqual(
    report.failures.map(({ test, file: failed }) => [test, failed]),
    [
      ["inside", file],
      ["too slow", file],
    ],
  );
  assert.match(report.failures[0].error, /TypeError: the reason/);
  assert.match(report.failures[1].error, /timed out after 20ms/);
});
