import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { handOver, taskAssignor } from "../../../runtime/assignor.ts";
import { decodeAssignment, decodeSubscription, encodeSubscription, type WorkerSubscription } from "../../../runtime/group-protocol.ts";
import { placeTasks, type Candidate, type TaskToPlace } from "../../../runtime/placement.ts";
import { parseTaskId } from "../../../runtime/task-id.ts";

const worker = (memberId: string, owned: string[] = [], more: Partial<Candidate> = {}): Candidate => ({
  memberId,
  owned,
  running: owned,
  standbys: [],
  positions: new Map(),
  stateId: memberId,
  rack: undefined,
  ...more,
});
const at = (position: number, ...ids: string[]): { positions: Map<string, number> } => ({
  positions: new Map(ids.map((id) => [id, position])),
});
const tasks = (count: number): string[] => Array.from({ length: count }, (_, index) => `0_${index}`);
const toPlace = (ids: readonly string[], endOffset = 0): TaskToPlace[] =>
  ids.flatMap((id) => parseTaskId(id) ?? []).map((task) => ({ ...task, stateful: true, endOffset }));
const assignTasks = (workers: readonly Candidate[], ids: readonly string[], endOffset = 0): ReadonlyMap<string, readonly string[]> =>
  placeTasks(workers, toPlace(ids, endOffset), { standbyReplicas: 0 }).active;
const subscription = (workerId: string, owned: string[] = []): WorkerSubscription => ({
  workerId,
  url: undefined,
  transactionalId: undefined,
  owned,
  running: owned,
  standbys: [],
  positions: {},
  stateId: workerId,
  rack: undefined,
});
const assignorOf = (count: number) => taskAssignor({ tasks: () => Promise.resolve(toPlace(tasks(count))), standbyReplicas: 0 });

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
    assert.deepEqual([...(result.get("a") ?? [])].sort(), ["0_1", "0_3"]);
    assert.deepEqual([...(result.get("b") ?? [])].sort(), ["0_0", "0_2"]);
  });

  test("a new worker takes only its share", () => {
    const result = assignTasks([worker("a", ["0_0", "0_1", "0_2"]), worker("b", ["0_3", "0_4", "0_5"]), worker("c")], tasks(6));
    assert.equal(result.get("c")?.length, 2);
    assert.ok(result.get("a")?.every((task) => ["0_0", "0_1", "0_2"].includes(task)));
  });

  test("a free task goes where its state is on disk", () => {
    const result = assignTasks([worker("a"), worker("b", [], at(9, "0_0"))], tasks(2));
    assert.deepEqual(result.get("b"), ["0_0"]);
  });

  test("a task that moves is nobody's in the generation that takes it from its owner", () => {
    const workers = [worker("a", ["0_0", "0_1"]), worker("b")];
    const { granted, revoked } = handOver(workers, assignTasks(workers, tasks(2)));
    assert.deepEqual([granted.get("a"), granted.get("b")], [["0_0"], []]);
    assert.deepEqual([revoked.get("a"), revoked.get("b")], [["0_1"], []]);
  });

  test("whatever members come, go and come back: no task ever has two holders, and two rebalances after the last change all are shared", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 24 }), fc.array(step, { minLength: 1, maxLength: 25 }), (count, steps) => {
        const group = new SimulatedGroup(count);
        for (const { change, member, settles } of steps) {
          group.change(change, `m${member}`);
          if (settles) group.settle();
          else group.rebalance();
        }
        group.settle();
      }),
      { numRuns: 2_000 },
    );
  });

  test("user data and assignments survive the wire; foreign bytes still get a share", async () => {
    const one: WorkerSubscription = {
      workerId: "w1",
      url: "http://127.0.0.1:1",
      transactionalId: "app/w1",
      owned: ["0_0"],
      running: [],
      standbys: ["0_1"],
      positions: { "0_0": 7, "0_1": 8 },
      stateId: "disk",
      rack: "a",
      shutdown: "2026-01-01 w1: why",
      readsPacked: true,
    };
    assert.deepEqual(decodeSubscription(encodeSubscription(one), "m1"), one);
    const assigned = await assignorOf(2).assign([
      { memberId: "m1", userData: encodeSubscription(one) },
      { memberId: "m2", userData: Buffer.from("not json") },
    ]);
    const mine = decodeAssignment(assigned.get("m1") ?? Buffer.alloc(0));
    assert.deepEqual(mine.tasks, ["0_0"]);
    assert.deepEqual(mine.members[0], {
      workerId: "w1",
      url: "http://127.0.0.1:1",
      transactionalId: "app/w1",
      tasks: ["0_0"],
      standbys: [],
    });
    assert.equal(mine.shutdown, "2026-01-01 w1: why");
    assert.equal(mine.moving, false);
    const theirs = decodeAssignment(assigned.get("m2") ?? Buffer.alloc(0));
    assert.deepEqual([theirs.tasks, theirs.shutdown], [["0_1"], "2026-01-01 w1: why"], "everyone is asked to stop");
  });

  test("who has what is packed for a group that can read it, a small part of its size, and a list while one worker cannot", async () => {
    const memberIds = Array.from({ length: 100 }, (_, n) => `m${n}`);
    const assign = (readers: number): Promise<Map<string, Buffer>> =>
      assignorOf(1_000).assign(
        memberIds.map((memberId, n) => ({
          memberId,
          userData: encodeSubscription({ ...subscription(memberId), url: `http://${memberId}:8080`, readsPacked: n < readers }),
        })),
      );
    const [packed, plain] = [(await assign(100)).get("m0"), (await assign(99)).get("m0")];
    assert.ok(packed !== undefined && plain !== undefined);
    assert.deepEqual(decodeAssignment(packed), decodeAssignment(plain));
    assert.equal(decodeAssignment(packed).members.length, 100);
    assert.ok(packed.length * 5 < plain.length, `${packed.length} of ${plain.length} bytes`);
    assert.ok(Array.isArray((JSON.parse(plain.toString()) as { members: unknown }).members));
  });

  test("everyone hears that a task is between two workers, and its holder which one to give up", async () => {
    const member = (memberId: string, owned: string[]) => ({ memberId, userData: encodeSubscription(subscription(memberId, owned)) });
    const assigned = await assignorOf(2).assign([member("m1", ["0_0", "0_1"]), member("m2", [])]);
    const [first, second] = ["m1", "m2"].map((id) => decodeAssignment(assigned.get(id) ?? Buffer.alloc(0)));
    assert.deepEqual([first.tasks, first.revoked, first.moving], [["0_0"], ["0_1"], true]);
    assert.deepEqual([second.tasks, second.revoked, second.moving], [[], [], true]);
  });

  test("a worker that waits for a task keeps its copy of it until it is handed over", async () => {
    const holder = { memberId: "m1", userData: encodeSubscription(subscription("m1", ["0_0", "0_1"])) };
    const warm = {
      memberId: "m2",
      userData: encodeSubscription({ ...subscription("m2"), standbys: ["0_1"], positions: { "0_1": 5_000_000 } }),
    };
    const assignor = taskAssignor({ tasks: () => Promise.resolve(toPlace(tasks(2), 5_000_000)), standbyReplicas: 0 });
    const assigned = await assignor.assign([holder, warm]);
    const second = decodeAssignment(assigned.get("m2") ?? Buffer.alloc(0));
    assert.deepEqual([second.tasks, second.standbys, second.warmups], [[], ["0_1"], []]);
    assert.deepEqual(decodeAssignment(assigned.get("m1") ?? Buffer.alloc(0)).revoked, ["0_1"]);
  });
});

const step = fc.record({
  change: fc.constantFrom("comes" as const, "goes" as const, "restarts" as const, "nothing" as const),
  member: fc.integer({ min: 0, max: 6 }),
  settles: fc.boolean(),
});

/** Members that follow the protocol: hold what they are given, close what they lose before the next round, join again if they lost any. */
class SimulatedGroup {
  readonly #tasks: string[];
  readonly #held = new Map<string, Set<string>>();
  readonly #onDisk = new Map<string, Set<string>>();
  #wanted = false;

  constructor(count: number) {
    this.#tasks = tasks(count);
  }

  change(change: "comes" | "goes" | "restarts" | "nothing", member: string): void {
    if (change === "comes" && !this.#held.has(member)) this.#held.set(member, new Set());
    // kill -9 and a new membership: what it held is on its disk
    if (change === "restarts" && this.#held.has(member)) this.#held.set(member, new Set());
    if (change === "goes") this.#held.delete(member);
    this.#wanted ||= change !== "nothing";
  }

  /** One round. Every worker has dropped what it lost when the next begins. */
  rebalance(): void {
    this.#wanted = false;
    const workers = [...this.#held].map(([id, held]) => worker(id, [...held], at(0, ...(this.#onDisk.get(id) ?? []))));
    if (workers.length === 0) return;
    const target = assignTasks(workers, this.#tasks);
    const { granted, revoked } = handOver(workers, target);
    const before = new Map([...this.#held].map(([id, held]) => [id, new Set(held)]));
    // while the owners still close what they lose, nobody else may have it
    for (const [id, list] of granted)
      for (const task of list) for (const [other, held] of before) assert.ok(other === id || !held.has(task), `${task} has two holders`);
    const given = [...granted.values()].flat();
    assert.equal(new Set(given).size, given.length, "nobody shares a task");
    const waiting = [...revoked.values()].flat();
    assert.deepEqual([...new Set([...given, ...waiting])].sort(), [...this.#tasks].sort(), "a task is someone's or being given up");
    const share = Math.floor(this.#tasks.length / workers.length);
    for (const [id, lost] of revoked)
      assert.ok(lost.length <= Math.max(0, (before.get(id)?.size ?? 0) - share), `${id} loses no more than is above its share`);
    for (const [id, list] of granted) {
      for (const task of before.get(id) ?? [])
        assert.ok(list.includes(task) || revoked.get(id)?.includes(task), "nothing is lost silently");
      this.#held.set(id, new Set(list));
      this.#onDisk.set(id, new Set([...(this.#onDisk.get(id) ?? []), ...list]));
    }
    this.#wanted = waiting.length > 0;
  }

  /** At most two rounds; then nothing moves any more. */
  settle(): void {
    this.rebalance();
    if (this.#wanted) this.rebalance();
    assert.equal(this.#wanted, false, "a third rebalance is never needed");
    if (this.#held.size === 0) return;
    const loads = [...this.#held.values()].map((held) => held.size);
    assert.equal(
      loads.reduce((sum, load) => sum + load, 0),
      this.#tasks.length,
    );
    assert.ok(Math.max(...loads) - Math.min(...loads) <= 1, `balanced: ${loads.join()}`);
    const at = JSON.stringify([...this.#held].map(([id, held]) => [id, [...held].sort()]));
    this.rebalance();
    assert.equal(JSON.stringify([...this.#held].map(([id, held]) => [id, [...held].sort()])), at, "a balanced group stays as it is");
  }
}
