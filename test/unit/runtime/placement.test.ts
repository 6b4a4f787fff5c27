/** Standbys, warm-ups and racks. Balance and hand-over: assignor.test.ts. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  ACCEPTABLE_LAG,
  MAX_WARMUPS_PER_WORKER,
  placeTasks,
  type Candidate,
  type Placement,
  type TaskToPlace,
} from "../../../runtime/placement.ts";
import { taskIdOf } from "../../../runtime/task-id.ts";

const END = 10 * ACCEPTABLE_LAG;
const tasks = (count: number, endOffset = END): TaskToPlace[] =>
  Array.from({ length: count }, (_, partition) => ({ ...taskIdOf(0, partition), stateful: true, endOffset }));
const ids = (count: number): string[] => tasks(count).map(({ id }) => id);
const worker = (memberId: string, more: Partial<Candidate> = {}): Candidate => ({
  memberId,
  owned: [],
  running: more.owned ?? [],
  standbys: [],
  positions: new Map(),
  stateId: memberId,
  rack: undefined,
  ...more,
});
const holding = (memberId: string, standbys: string[], position: number): Candidate =>
  worker(memberId, { standbys, positions: new Map(standbys.map((id) => [id, position])) });
const active = (placement: Placement, memberId: string): readonly string[] => placement.active.get(memberId) ?? [];
const standbys = (placement: Placement, memberId: string): readonly string[] => placement.standbys.get(memberId) ?? [];
const warmups = (placement: Placement, memberId: string): readonly string[] => placement.warmups.get(memberId) ?? [];

describe("placement", () => {
  test("a large task stays at its worker until the cold one that is to have it has caught up, a few at a time", () => {
    const before = placeTasks([worker("a", { owned: ids(8) }), worker("b")], tasks(8), { standbyReplicas: 0 });
    assert.deepEqual([active(before, "a").length, active(before, "b").length], [8, 0]);
    assert.equal(warmups(before, "b").length, MAX_WARMUPS_PER_WORKER);
    const warm = [...warmups(before, "b")];
    const after = placeTasks([worker("a", { owned: ids(8) }), holding("b", warm, END)], tasks(8), { standbyReplicas: 0 });
    assert.deepEqual([...active(after, "b")], warm, "what is warm moves, and nothing else");
    assert.equal(warmups(after, "b").length, MAX_WARMUPS_PER_WORKER, "and the next ones follow");
  });

  test("a small task moves at once", () => {
    const placement = placeTasks([worker("a", { owned: ids(2) }), worker("b")], tasks(2, ACCEPTABLE_LAG), { standbyReplicas: 0 });
    assert.deepEqual([active(placement, "b").length, warmups(placement, "b").length], [1, 0]);
  });

  test("a dead worker's tasks go to those that keep copies of them, whatever their load", () => {
    const placement = placeTasks([holding("a", ids(4), END - 5), worker("b")], tasks(4), { standbyReplicas: 0 });
    assert.deepEqual([...active(placement, "a")], ids(4));
    assert.equal(warmups(placement, "b").length, 2);
  });

  test("a task on its way up is no reason to wait for it: the one with the state has it (KAFKA-10651)", () => {
    const restoring = worker("a", { owned: ["0_0"], running: [], positions: new Map([["0_0", 10]]) });
    const placement = placeTasks([restoring, holding("b", ["0_0"], END)], tasks(1), { standbyReplicas: 0 });
    assert.deepEqual([...active(placement, "b")], ["0_0"]);
  });

  test("when nobody has the state, tasks are shared as ever", () => {
    const placement = placeTasks([worker("a"), worker("b")], tasks(4), { standbyReplicas: 0 });
    assert.deepEqual([active(placement, "a").length, active(placement, "b").length], [2, 2]);
  });

  test("workers on one disk need no warm-up, and keep no copies for each other", () => {
    const shared = [worker("a", { owned: ids(4), stateId: "disk" }), worker("b", { stateId: "disk" })];
    const placement = placeTasks(shared, tasks(4), { standbyReplicas: 1 });
    assert.deepEqual([active(placement, "b").length, standbys(placement, "a").length, standbys(placement, "b").length], [2, 0, 0]);
  });

  test("copies go to other racks than the task and each other, as far as there are any", () => {
    const group = [
      worker("a", { owned: ["0_0"], rack: "east" }),
      worker("b", { rack: "east" }),
      worker("c", { rack: "west" }),
      worker("d", { rack: "north" }),
    ];
    const holders = (replicas: number): string[] => {
      const placement = placeTasks(group, tasks(1), { standbyReplicas: replicas });
      return group.map(({ memberId }) => memberId).filter((id) => standbys(placement, id).length > 0);
    };
    assert.deepEqual(holders(2), ["c", "d"]);
    assert.deepEqual(holders(3), ["b", "c", "d"]);
    assert.deepEqual(holders(9), ["b", "c", "d"], "no more than there are workers");
  });

  test("copies of one worker's tasks are spread: whoever goes, the others share its tasks and have their state", () => {
    for (const [workers, count] of [
      [3, 6],
      [3, 12],
      [4, 12],
      [5, 40],
    ]) {
      const names = Array.from({ length: workers }, (_, index) => `w${index}`);
      const owners = ids(count).map((id, index) => [id, names[Math.floor((index * workers) / count)]] as const);
      const owned = (name: string): string[] => owners.flatMap(([id, owner]) => (owner === name ? [id] : []));
      const all = tasks(count);
      const copies = placeTasks(
        names.map((name) => worker(name, { owned: owned(name) })),
        all,
        { standbyReplicas: 1 },
      );
      for (const gone of names) {
        const left = names
          .filter((name) => name !== gone)
          .map((name) => ({ ...holding(name, [...standbys(copies, name)], END), owned: owned(name), running: owned(name) }));
        const after = placeTasks(left, all, { standbyReplicas: 1 });
        const loads = left.map(({ memberId }) => active(after, memberId).length);
        assert.ok(Math.max(...loads) - Math.min(...loads) <= 1, `${workers} workers, ${gone} gone: ${loads.join()}`);
        assert.deepEqual(
          left.flatMap(({ memberId }) => warmups(after, memberId)),
          [],
          "nobody warms up",
        );
      }
    }
  });

  test("a task without changelogs has no copies and never waits", () => {
    const stateless = tasks(2, 0).map((task) => ({ ...task, stateful: false }));
    const placement = placeTasks([worker("a", { owned: ids(2) }), worker("b")], stateless, { standbyReplicas: 1 });
    assert.deepEqual([active(placement, "b").length, standbys(placement, "a").length], [1, 0]);
  });

  test("whatever the group looks like: one active each, where the state is; copies on other disks, as many as asked for; and it settles, balanced", () => {
    const task = fc.integer({ min: 0, max: 11 }).map((n) => `0_${n}`);
    const member = fc.record({
      owned: fc.uniqueArray(task, { maxLength: 12 }),
      state: fc.dictionary(task, fc.integer({ min: 0, max: END }), { maxKeys: 12 }),
      running: fc.boolean(),
      disk: fc.integer({ min: 0, max: 5 }),
    });
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 12 }),
        fc.array(member, { minLength: 1, maxLength: 5 }),
        fc.integer({ min: 0, max: 3 }),
        (count, members, replicas) => settles(count, members, replicas),
      ),
      { numRuns: 2_000 },
    );
  });
});

interface Member {
  readonly owned: string[];
  readonly state: Record<string, number>;
  readonly running: boolean;
  readonly disk: number;
}

function settles(count: number, members: readonly Member[], replicas: number): void {
  const all = tasks(count);
  const taken = new Set<string>();
  let group = members.map(({ owned, state, running, disk }, index) => {
    const mine = owned.filter((id) => !taken.has(id) && ids(count).includes(id));
    for (const id of mine) taken.add(id);
    return worker(`m${index}`, {
      owned: mine,
      running: running ? mine : [],
      positions: new Map(Object.entries(state)),
      stateId: `d${disk}`,
    });
  });
  for (let round = 0; round < 40; round++) {
    const placement = placeTasks(group, all, { standbyReplicas: replicas });
    check(group, all, placement, replicas);
    const settled = group.every(({ memberId, owned }) => [...owned].sort().join() === [...active(placement, memberId)].sort().join());
    const warming = group.some(({ memberId }) => warmups(placement, memberId).length > 0);
    if (settled && !warming) {
      const loads = group.map(({ memberId }) => active(placement, memberId).length);
      assert.ok(Math.max(...loads) - Math.min(...loads) <= 1, `balanced in the end: ${loads.join()}`);
      return;
    }
    // all that was asked for has come about: tasks run, copies have caught up
    group = group.map((before) => {
      const copies = [...new Set([...standbys(placement, before.memberId), ...warmups(placement, before.memberId)])];
      const owned = [...active(placement, before.memberId)];
      const positions = new Map([...before.positions, ...[...before.owned, ...owned, ...copies].map((id) => [id, END] as const)]);
      return worker(before.memberId, { owned, standbys: copies, positions, stateId: before.stateId });
    });
  }
  assert.fail("it never settles");
}

function check(group: readonly Candidate[], all: readonly TaskToPlace[], placement: Placement, replicas: number): void {
  const given = [...placement.active.values()].flat();
  assert.deepEqual([...given].sort(), all.map(({ id }) => id).sort(), "each task runs once");
  const runningOn = (id: string): Set<string> => new Set(group.filter(({ running }) => running.includes(id)).map(({ stateId }) => stateId));
  const lag = ({ running, positions, stateId }: Candidate, id: string): number =>
    running.includes(id) || runningOn(id).has(stateId) ? 0 : Math.max(0, END - (positions.get(id) ?? 0));
  for (const { id } of all) {
    const owner = group.find(({ memberId }) => active(placement, memberId).includes(id));
    assert.ok(owner !== undefined);
    const least = Math.min(...group.map((other) => lag(other, id)));
    assert.ok(lag(owner, id) <= Math.max(least, ACCEPTABLE_LAG), `${id} is nowhere where its state is not`);
    const copies = group.filter(({ memberId }) => standbys(placement, memberId).includes(id));
    const disks = new Set(group.map(({ stateId }) => stateId));
    disks.delete(owner.stateId);
    assert.equal(copies.length, Math.min(replicas, disks.size), `${id} has its copies`);
    assert.equal(new Set([...copies, owner].map(({ stateId }) => stateId)).size, copies.length + 1, "on a disk each");
  }
}
