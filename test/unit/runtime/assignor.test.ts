import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { assignTasks, decodeAssignment, decodeSubscription, encodeSubscription, stickyAssignor } from "../../../runtime/assignor.ts";

const worker = (memberId: string, owned: string[] = [], onDisk: string[] = []) => ({ memberId, owned, onDisk });
const tasks = (count: number): string[] => Array.from({ length: count }, (_, index) => `0_${index}`);

describe("assignor", () => {
  test("every task goes to exactly one worker, loads differ by at most one, and no more tasks move than must", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 40 }),
        fc.array(fc.array(fc.integer({ min: 0, max: 45 }), { maxLength: 20 }), { minLength: 1, maxLength: 8 }),
        (count, owned) => {
          const all = tasks(count);
          const workers = owned.map((list, index) =>
            worker(
              `m${index}`,
              list.map((task) => `0_${task}`),
            ),
          );
          const result = assignTasks(workers, all);
          assert.deepEqual([...result.values()].flat().sort(), [...all].sort());
          const loads = [...result.values()].map((list) => list.length);
          assert.ok(Math.max(...loads) - Math.min(...loads) <= 1);
        },
      ),
    );
  });

  test("tasks stay where they are when the group is balanced already", () => {
    const result = assignTasks([worker("a", ["0_1", "0_3"]), worker("b", ["0_0", "0_2"])], tasks(4));
    assert.deepEqual(result.get("a")?.sort(), ["0_1", "0_3"]);
    assert.deepEqual(result.get("b")?.sort(), ["0_0", "0_2"]);
  });

  test("a new worker takes only its share", () => {
    const result = assignTasks([worker("a", ["0_0", "0_1", "0_2"]), worker("b", ["0_3", "0_4", "0_5"]), worker("c")], tasks(6));
    assert.equal(result.get("c")?.length, 2);
    assert.ok(result.get("a")?.every((task) => ["0_0", "0_1", "0_2"].includes(task)));
  });

  test("a free task goes where its state is on disk", () => {
    const result = assignTasks([worker("a"), worker("b", [], ["0_0"])], tasks(2));
    assert.deepEqual(result.get("b"), ["0_0"]);
  });

  test("user data and assignments survive the wire; foreign bytes still get a share", async () => {
    const subscription = { workerId: "w1", url: "http://127.0.0.1:1", transactionalId: "app/w1", owned: ["0_0"], onDisk: ["0_0"] };
    assert.deepEqual(decodeSubscription(encodeSubscription(subscription)), subscription);
    const assigned = await stickyAssignor(async () => tasks(2)).assign([
      { memberId: "m1", userData: encodeSubscription(subscription) },
      { memberId: "m2", userData: Buffer.from("not json") },
    ]);
    const mine = decodeAssignment(assigned.get("m1") ?? Buffer.alloc(0));
    assert.deepEqual(mine.tasks, ["0_0"]);
    assert.deepEqual(mine.members[0], { workerId: "w1", url: "http://127.0.0.1:1", transactionalId: "app/w1", tasks: ["0_0"] });
    assert.deepEqual(decodeAssignment(assigned.get("m2") ?? Buffer.alloc(0)).tasks, ["0_1"]);
  });
});
