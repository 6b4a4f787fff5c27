import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import type { Differences } from "./job-under-faults.ts";

/** Every output has something in it, and exactly what the undisturbed run wrote. */
export function assertExact(t: TestContext, differences: Differences): void {
  for (const [kind, { expected, lost, doubled, foreign, examples }] of Object.entries(differences)) {
    t.diagnostic(`${kind}: ${expected} records compared`);
    assert.ok(expected > 0, `the undisturbed run wrote ${kind}`);
    assert.deepEqual({ lost, doubled, foreign }, { lost: 0, doubled: 0, foreign: 0 }, `${kind}: ${examples.join("\n")}`);
  }
}
