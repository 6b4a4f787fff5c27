import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { assignLanes, decodeLanes, encodeLanes } from "../../../bridge/lane-assignor.ts";

const LANES = 12;

/** One rebalance: what everybody holds after it. */
function rebalance(held: ReadonlyMap<string, readonly number[]>): Map<string, number[]> {
  const members = [...held].map(([memberId, lanes]) => ({ memberId, userData: encodeLanes(lanes) }));
  return new Map([...assignLanes(members, LANES)].map(([memberId, lanes]) => [memberId, decodeLanes(lanes)]));
}

test("members come and go: no lane is ever two members', and after two rebalances all are given and balanced", () => {
  fc.assert(
    fc.property(fc.array(fc.uniqueArray(fc.constantFrom("a", "b", "c", "d", "e"), { minLength: 1 }), { minLength: 1 }), (history) => {
      let held = new Map<string, number[]>();
      for (const present of history) {
        held = new Map(present.map((member) => [member, held.get(member) ?? []]));
        for (let round = 0; round < 2; round++) {
          held = rebalance(held);
          const all = [...held.values()].flat();
          assert.equal(new Set(all).size, all.length, "a lane of two members");
        }
        const sizes = [...held.values()].map((lanes) => lanes.length);
        assert.equal(
          sizes.reduce((sum, size) => sum + size, 0),
          LANES,
        );
        assert.ok(Math.max(...sizes) - Math.min(...sizes) <= 1, `sizes ${sizes.join()}`);
        assert.deepEqual(rebalance(held), held, "it settles");
      }
    }),
  );
});

test("a member that comes takes only what makes the balance; the others keep theirs", () => {
  const before = rebalance(new Map([["a", []]]));
  const first = rebalance(new Map([...before, ["b", []]]));
  assert.deepEqual(first.get("b"), [], "nothing that is not given up yet");
  assert.equal(first.get("a")?.length, 6);
  const second = rebalance(first);
  assert.deepEqual(second.get("a"), first.get("a"));
  assert.equal(second.get("b")?.length, 6);
});
