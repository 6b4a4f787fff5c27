import assert from "node:assert/strict";
import { test } from "node:test";
import { selectStages, stages, TOTAL_LIMIT_MS } from "../../../scripts/test-stages.ts";

test("the stages cannot take longer together than CI allows for everything", () => {
  const sumMs = stages.reduce((sum, stage) => sum + stage.limitMs, 0);
  assert.ok(sumMs < TOTAL_LIMIT_MS, `${sumMs / 60_000} minutes`);
});

test("--only keeps the order of the stages and refuses a name that is none", () => {
  assert.deepEqual(
    selectStages("unit,typecheck").map((stage) => stage.name),
    ["typecheck", "unit"],
  );
  assert.throws(() => selectStages("units"), /unknown stage units; there are typecheck, lint/);
});
