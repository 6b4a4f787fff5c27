/**
 * Who runs which task, and who keeps copies of its state. Pure and deterministic; runs on the group's leader.
 *
 * - Active tasks: sticky and balanced (loads differ by at most one), preferring workers that have the state.
 * - A task goes nowhere where its state is much further behind than elsewhere: it stays, or goes to the one that has the state, and
 *   the worker it is meant for warms up first (KIP-441).
 * - Standbys: on other disks than the task and each other, on other racks where there are any, sticky, and those of one worker's tasks
 *   spread over the others, which share them when it is gone.
 */
import type { TaskId } from "./task-id.ts";

export interface Candidate {
  readonly memberId: string;
  /** Active tasks held here now: running, or on their way up. */
  readonly owned: readonly string[];
  /** Of those, the ones that are up to date. */
  readonly running: readonly string[];
  /** Copies kept now, warm-ups included. */
  readonly standbys: readonly string[];
  /** Changelog offsets (summed over a task's stores) that the state on this worker's disk stands for. */
  readonly positions: ReadonlyMap<string, number>;
  /** Workers with the same one share a disk. */
  readonly stateId: string;
  readonly rack: string | undefined;
}

export interface TaskToPlace extends TaskId {
  /** Has changelogs. */
  readonly stateful: boolean;
  /** Their ends, summed; 0 when they could not be had: nothing then counts as behind. */
  readonly endOffset: number;
}

export interface PlacementOptions {
  /** Copies of each stateful task, as far as there are workers for them. */
  readonly standbyReplicas: number;
  readonly acceptableLag?: number;
}

/** By member id. */
export interface Placement {
  readonly active: ReadonlyMap<string, readonly string[]>;
  readonly standbys: ReadonlyMap<string, readonly string[]>;
  /** Tasks that are meant for the member once it has caught up on them. */
  readonly warmups: ReadonlyMap<string, readonly string[]>;
}

/** Changelog offsets that a task's new worker may have to replay before it goes on: about 0.2 s of restoring (docs/performance.md). */
export const ACCEPTABLE_LAG = 100_000;
/** At once on one worker: their restores share its event loop with its running tasks. The next ones follow. */
export const MAX_WARMUPS_PER_WORKER = 2;

export function placeTasks(workers: readonly Candidate[], tasks: readonly TaskToPlace[], options: PlacementOptions): Placement {
  const group = new Group(workers, tasks, options.acceptableLag ?? ACCEPTABLE_LAG);
  const target = balance(group);
  const { active, warmups } = holdUntilWarm(group, target);
  return { active, warmups, standbys: placeStandbys(group, active, options.standbyReplicas) };
}

interface Worker extends Candidate {
  readonly ownedSet: ReadonlySet<string>;
  readonly runningSet: ReadonlySet<string>;
  readonly standbySet: ReadonlySet<string>;
}

class Group {
  /** By member id. */
  readonly workers: readonly Worker[];
  readonly tasks: readonly TaskToPlace[];
  readonly #acceptableLag: number;
  /** By task: disks on which it runs. */
  readonly #runningOn = new Map<string, Set<string>>();

  constructor(workers: readonly Candidate[], tasks: readonly TaskToPlace[], acceptableLag: number) {
    this.tasks = [...tasks].sort(compareTasks);
    this.workers = workers
      .map((worker) => ({
        ...worker,
        ownedSet: new Set(worker.owned),
        runningSet: new Set(worker.running),
        standbySet: new Set(worker.standbys),
      }))
      .sort((a, b) => compare(a.memberId, b.memberId));
    this.#acceptableLag = acceptableLag;
    for (const { running, stateId } of workers)
      for (const task of running) this.#runningOn.set(task, (this.#runningOn.get(task) ?? new Set()).add(stateId));
  }

  /** Offsets to replay before the task could run there. */
  lag(worker: Worker, task: TaskToPlace): number {
    if (!task.stateful || worker.runningSet.has(task.id) || this.#runningOn.get(task.id)?.has(worker.stateId)) return 0;
    return Math.max(0, task.endOffset - (worker.positions.get(task.id) ?? 0));
  }

  isCaughtUp(worker: Worker, task: TaskToPlace): boolean {
    return this.lag(worker, task) <= this.#acceptableLag;
  }

  /** Those with no more to replay than is acceptable, or than the best of all has. Never empty. */
  furthest(task: TaskToPlace): Worker[] {
    const least = Math.min(...this.workers.map((worker) => this.lag(worker, task)));
    return this.workers.filter((worker) => this.lag(worker, task) <= Math.max(least, this.#acceptableLag));
  }
}

type Lists = Map<string, string[]>;

function emptyLists(group: Group): Lists {
  return new Map(group.workers.map(({ memberId }) => [memberId, []]));
}

/** Where the active tasks belong once every worker has their state. */
function balance(group: Group): Lists {
  const { workers, tasks } = group;
  const result = emptyLists(group);
  if (workers.length === 0) return result;
  const floor = Math.floor(tasks.length / workers.length);
  let largerShares = tasks.length % workers.length;
  const free = new Map(tasks.map((task) => [task.id, task]));
  const give = (worker: Worker, task: TaskToPlace): void => {
    free.delete(task.id);
    listOf(result, worker).push(task.id);
  };
  // whoever owns most keeps the larger shares, so that the fewest tasks move
  for (const worker of [...workers].sort((a, b) => b.ownedSet.size - a.ownedSet.size || compare(a.memberId, b.memberId))) {
    const keeps = inOrderOfStaying(group, worker, free);
    const share = keeps.length > floor && largerShares > 0 ? floor + 1 : floor;
    if (share > floor) largerShares--;
    for (const task of keeps.slice(0, share)) give(worker, task);
  }
  const load = (worker: Worker): number => listOf(result, worker).length;
  for (const task of [...free.values()]) {
    if (!task.stateful) continue;
    const roomy = workers.filter((worker) => load(worker) < floor || (load(worker) === floor && largerShares > 0));
    const ready = roomy.filter(
      (worker) => group.isCaughtUp(worker, task) && (worker.positions.has(task.id) || worker.standbySet.has(task.id)),
    );
    if (ready.length === 0) continue;
    const best = least(ready, (a, b) => load(a) - load(b) || group.lag(a, task) - group.lag(b, task));
    if (load(best) === floor) largerShares--;
    give(best, task);
  }
  for (const task of [...free.values()])
    give(
      least(workers, (a, b) => load(a) - load(b) || group.lag(a, task) - group.lag(b, task)),
      task,
    );
  return result;
}

/** What a worker has, beginning with what it should keep: last comes what somebody else is ready for. */
function inOrderOfStaying(group: Group, worker: Worker, free: ReadonlyMap<string, TaskToPlace>): TaskToPlace[] {
  const readyElsewhere = (task: TaskToPlace): number =>
    Number(group.workers.some((other) => other !== worker && other.standbySet.has(task.id) && group.isCaughtUp(other, task)));
  return group.tasks
    .filter((task) => worker.ownedSet.has(task.id) && free.has(task.id))
    .sort((a, b) => readyElsewhere(a) - readyElsewhere(b) || compareTasks(a, b));
}

/** Whoever has the state runs the task until the worker it is meant for has it too. */
function holdUntilWarm(group: Group, target: Lists): { active: Lists; warmups: Lists } {
  const active = emptyLists(group);
  const warmups = emptyLists(group);
  const meantFor = new Map(group.workers.flatMap((worker) => listOf(target, worker).map((task) => [task, worker] as const)));
  for (const task of group.tasks) {
    const wanted = meantFor.get(task.id);
    if (wanted === undefined) continue;
    // nearly always, and without a look at everybody else
    if (group.isCaughtUp(wanted, task)) {
      listOf(active, wanted).push(task.id);
      continue;
    }
    const furthest = group.furthest(task);
    if (furthest.includes(wanted)) {
      listOf(active, wanted).push(task.id);
      continue;
    }
    const load = (worker: Worker): number => listOf(active, worker).length;
    const held = furthest.filter((worker) => worker.ownedSet.has(task.id));
    const holder = least(held.length > 0 ? held : furthest, (a, b) => load(a) - load(b) || group.lag(a, task) - group.lag(b, task));
    listOf(active, holder).push(task.id);
    if (listOf(warmups, wanted).length < MAX_WARMUPS_PER_WORKER) listOf(warmups, wanted).push(task.id);
  }
  return { active, warmups };
}

function placeStandbys(group: Group, active: Lists, replicas: number): Lists {
  const { workers } = group;
  const standbys = emptyLists(group);
  if (replicas <= 0 || workers.length < 2) return standbys;
  const stateful = group.tasks.filter((task) => task.stateful);
  const runsAt = new Map(workers.flatMap((worker) => listOf(active, worker).map((task) => [task, worker] as const)));
  const evenShare = Math.ceil((stateful.length * Math.min(replicas, workers.length - 1)) / workers.length);
  const copies = (worker: Worker): number => listOf(standbys, worker).length;
  const load = (worker: Worker): number => copies(worker) + listOf(active, worker).length;
  /**
   * By owner: how many copies of its tasks each of the others has. Were all of them on one, another that gets a task of the owner's when
   * that is gone would restore it from nothing.
   */
  const copiesOf = new Map(workers.map((owner) => [owner, new Map<Worker, number>()] as const));
  for (const task of stateful) {
    const owner = runsAt.get(task.id);
    const copiesBy = (owner && copiesOf.get(owner)) ?? new Map<Worker, number>();
    const together = (worker: Worker): number => copiesBy.get(worker) ?? 0;
    const used = owner === undefined ? [] : [owner];
    for (let replica = 0; replica < replicas; replica++) {
      const others = workers.filter((worker) => used.every((other) => other.stateId !== worker.stateId));
      if (others.length === 0) break;
      const sameRack = (worker: Worker): number => Number(used.some((other) => other.rack !== undefined && other.rack === worker.rack));
      const starts = (worker: Worker): number => Number(!(copies(worker) < evenShare && hasCopy(group, worker, task)));
      const best = least(
        others,
        (a, b) =>
          sameRack(a) - sameRack(b) ||
          starts(a) - starts(b) ||
          together(a) - together(b) ||
          load(a) - load(b) ||
          group.lag(a, task) - group.lag(b, task),
      );
      listOf(standbys, best).push(task.id);
      copiesBy.set(best, together(best) + 1);
      used.push(best);
    }
  }
  return standbys;
}

function hasCopy(group: Group, worker: Worker, task: TaskToPlace): boolean {
  return worker.standbySet.has(task.id) || (worker.positions.has(task.id) && group.isCaughtUp(worker, task));
}

function listOf(lists: Lists, { memberId }: Worker): string[] {
  const list = lists.get(memberId);
  if (list === undefined) throw new Error(`no such member: ${memberId}`);
  return list;
}

/** The first of the least. */
function least(workers: readonly Worker[], order: (a: Worker, b: Worker) => number): Worker {
  return workers.reduce((best, worker) => (order(worker, best) < 0 ? worker : best));
}

/** As numbers. */
function compareTasks(a: TaskToPlace, b: TaskToPlace): number {
  return a.subtopology - b.subtopology || a.partition - b.partition;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
