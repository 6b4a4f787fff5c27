/** A group of workers without a broker: real subscriptions, the real assignor, real assignments, round after round until nothing moves. */
import { randomUUID } from "node:crypto";
import { taskAssignor } from "../runtime/assignor.ts";
import { decodeAssignment, encodeSubscription, type WorkerAssignment } from "../runtime/group-protocol.ts";
import type { TaskToPlace } from "../runtime/placement.ts";

/** A changelog that has been written for long; anybody without state is this far behind. */
const END_OFFSET = 1_000_000_000;
const MAX_ROUNDS = 200;

export interface Rebalance {
  /** Rounds of JoinGroup and SyncGroup until nothing is on its way any more. */
  readonly rounds: number;
  /** Tasks that another worker has than before; those of a worker that is gone included. */
  readonly moved: number;
  /** CPU time of the longest computation of one assignment: what holds the leader's event loop. */
  readonly assignMs: number;
  /** Largest of the rounds: what the leader is sent (all subscriptions), and what it sends (all assignments). */
  readonly subscriptionBytes: number;
  readonly assignmentBytes: number;
  /** Largest for one member. */
  readonly oneAssignmentBytes: number;
}

interface SimulatedWorker {
  readonly memberId: string;
  readonly workerId: string;
  readonly stateId: string;
  owned: readonly string[];
  standbys: readonly string[];
  /** Of its state on disk. */
  readonly positions: Map<string, number>;
}

export class SimulatedGroup {
  readonly #workers: SimulatedWorker[] = [];
  readonly #tasks: readonly TaskToPlace[];
  readonly #standbyReplicas: number;
  #named = 0;

  constructor(partitions: number, workers: number, standbyReplicas: number) {
    this.#tasks = tasksOf(partitions);
    this.#standbyReplicas = standbyReplicas;
    for (let n = 0; n < workers; n++) this.#add();
  }

  /** As the first time, when nobody has anything. */
  start(): Promise<Rebalance> {
    return this.#rebalance();
  }

  async oneDies(): Promise<Rebalance> {
    this.#workers.splice(this.#workers.length >> 1, 1);
    return this.#rebalance();
  }

  async oneJoins(): Promise<Rebalance> {
    this.#add();
    return this.#rebalance();
  }

  #add(): void {
    const workerId = `sluice-worker-${this.#named++}`;
    this.#workers.push({
      memberId: `${workerId}-${randomUUID()}`,
      workerId,
      stateId: randomUUID(),
      owned: [],
      standbys: [],
      positions: new Map(),
    });
  }

  async #rebalance(): Promise<Rebalance> {
    const owners = this.#owners();
    const assignor = taskAssignor({ tasks: () => Promise.resolve(this.#tasks), standbyReplicas: this.#standbyReplicas });
    const largest = { assignMs: 0, subscriptionBytes: 0, assignmentBytes: 0, oneAssignmentBytes: 0 };
    for (let rounds = 1; rounds <= MAX_ROUNDS; rounds++) {
      const members = this.#workers.map((worker) => ({ memberId: worker.memberId, userData: subscriptionOf(worker) }));
      const before = process.cpuUsage();
      const assignments = await assignor.assign(members);
      const { user, system } = process.cpuUsage(before);
      largest.assignMs = Math.max(largest.assignMs, (user + system) / 1_000);
      const sizes = [...assignments.values()].map(({ length }) => length);
      largest.subscriptionBytes = Math.max(largest.subscriptionBytes, sum(members.map(({ userData }) => userData.length)));
      largest.assignmentBytes = Math.max(largest.assignmentBytes, sum(sizes));
      largest.oneAssignmentBytes = Math.max(largest.oneAssignmentBytes, ...sizes);
      let isMoving = false;
      for (const worker of this.#workers) {
        const assignment = decodeAssignment(assignments.get(worker.memberId) ?? Buffer.alloc(0));
        isMoving ||= assignment.moving || assignment.warmups.length > 0;
        follow(worker, assignment);
      }
      if (!isMoving) {
        const after = this.#owners();
        return { rounds, moved: this.#tasks.filter(({ id }) => owners.get(id) !== after.get(id)).length, ...largest };
      }
    }
    throw new Error(`not settled after ${MAX_ROUNDS} rounds`);
  }

  #owners(): Map<string, string> {
    return new Map(this.#workers.flatMap(({ owned, workerId }) => owned.map((task) => [task, workerId] as const)));
  }
}

/** Of one sub-topology, as the IoT job is. */
export function tasksOf(partitions: number): TaskToPlace[] {
  const task = { subtopology: 0, stateful: true, endOffset: END_OFFSET };
  return Array.from({ length: partitions }, (_, partition) => ({ ...task, id: `0_${partition}`, partition }));
}

/** As runtime/membership.ts says it; all that a worker owns runs. */
function subscriptionOf({ workerId, owned, standbys, positions, stateId }: SimulatedWorker): Buffer {
  return encodeSubscription({
    workerId,
    url: `http://${workerId}.sluice.svc.cluster.local:8080`,
    transactionalId: `sluice/${workerId}`,
    owned,
    running: owned,
    standbys,
    positions: Object.fromEntries([...positions].filter(([task]) => !owned.includes(task))),
    stateId,
    rack: undefined,
    readsPacked: true,
  });
}

/** Everything that takes time is over before the next round: restores, copies, tasks given up. */
function follow(worker: SimulatedWorker, { tasks, standbys }: WorkerAssignment): void {
  worker.owned = tasks;
  worker.standbys = standbys;
  for (const task of [...tasks, ...standbys]) worker.positions.set(task, END_OFFSET);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
