import assert from "node:assert/strict";
import { test } from "node:test";
import { selectStages, stages, TimeBudget, TOTAL_LIMIT_MS } from "../../../scripts/test-stages.ts";

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

test("what stages leave of their limits is for those after them, and no run goes over the sum", () => {
  const budget = new TimeBudget();
  const [first, second, third] = [10, 20, 30].map((limitMs, n) => ({ name: String(n), limitMs }));
  assert.equal(budget.limitOf(first), 10);
  budget.used(first, 4);
  assert.equal(budget.limitOf(second), 26);
  budget.used(second, 27);
  assert.equal(budget.limitOf(third), 30);
  budget.used(third, 5);
  assert.equal(budget.limitOf(third), 55);
});
