import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { runCommand } from "../support/run-command.ts";

test("the first topology of the examples runs and prints each device's hottest reading of each minute", async () => {
  const example = fileURLToPath(new URL("../../examples/first-topology.ts", import.meta.url));
  const { code, stdout, stderr } = await runCommand(process.execPath, [example], { timeoutMs: 30_000 });
  assert.equal(code, 0, stderr);
  const results = stdout
    .toString()
    .split("\n")
    .filter((line) => /^(kiln|oven): /.test(line));
  assert.deepEqual(results.sort(), [
    'kiln: {"minute":"00:00","max":950}',
    'kiln: {"minute":"00:01","max":1010}',
    'kiln: {"minute":"00:02","max":1070}',
    'oven: {"minute":"00:00","max":250}',
    'oven: {"minute":"00:01","max":310}',
    'oven: {"minute":"00:02","max":370}',
  ]);
});
