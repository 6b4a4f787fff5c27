import assert from "node:assert/strict";
import { test } from "node:test";
import { FAULT_KINDS, planRound, type Fault } from "../../faults/soak/plan.ts";

const SESSION_TIMEOUT_MS = 6_000;
const plans = Array.from({ length: 200 }, (_, seed) => planRound(seed, { seconds: 75, sessionTimeoutMs: SESSION_TIMEOUT_MS }));
const steps = plans.flatMap((plan) => plan.steps);

test("the same seed gives the same faults, the next seed others", () => {
  const again = planRound(7, { seconds: 75, sessionTimeoutMs: SESSION_TIMEOUT_MS });
  assert.deepEqual(again, plans[7]);
  assert.notDeepEqual(plans[8], plans[7]);
});

test("all kinds of faults come up, alone and together, with both kinds of members and all engines", () => {
  assert.deepEqual(new Set(steps.flatMap(({ faults }) => faults.map(({ kind }) => kind))), new Set(FAULT_KINDS));
  assert.deepEqual(new Set(steps.map(({ faults }) => faults.length)), new Set([1, 2, 3]));
  assert.deepEqual(new Set(plans.map(({ staticMembers }) => staticMembers)), new Set([true, false]));
  assert.deepEqual(new Set(plans.map(({ engines }) => engines)), new Set(["level", "rocksdb", "mixed"]));
});

test("two brokers of three are never down at once, and no worker has two faults at once", () => {
  const keys = (fault: Fault): string[] => ("worker" in fault ? [fault.worker] : "broker" in fault ? ["broker"] : []);
  for (const { faults } of steps) {
    const hit = faults.flatMap(keys);
    assert.equal(new Set(hit).size, hit.length, JSON.stringify(faults));
  }
});

test("only workers that are there are hit, and two to four of them are left", () => {
  for (const plan of plans) {
    const there = new Set(plan.workers);
    for (const { faults } of plan.steps) {
      for (const fault of faults) {
        if (!("worker" in fault)) continue;
        assert.equal(there.has(fault.worker), fault.kind !== "scale-up", `${fault.kind} ${fault.worker}`);
        if (fault.kind === "scale-up") there.add(fault.worker);
        if (fault.kind === "scale-down") there.delete(fault.worker);
      }
      assert.ok(there.size >= 2 && there.size <= 4, `${there.size} workers`);
    }
  }
});

test("a zombie sleeps past its session time-out, a blink does not", () => {
  for (const fault of steps.flatMap(({ faults }) => faults)) {
    if (fault.kind === "worker-zombie") assert.ok(fault.ms > SESSION_TIMEOUT_MS);
    if (fault.kind === "worker-blink") assert.ok(fault.ms < SESSION_TIMEOUT_MS);
  }
});
