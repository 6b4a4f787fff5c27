/**
 * Sticky, balanced, cooperative assignment of tasks to workers; runs on the group's leader. A worker keeps what it owns up to its
 * fair share; the rest goes to the least loaded, first to one that has the task's state on disk. A task that moves is first taken
 * from its owner and given to nobody; the owner closes it and asks for the rebalance that hands it out (KIP-429).
 */
import type { Assignor, GroupMemberInfo } from "../eventlog/port.ts";
import { latestShutdown } from "./application-shutdown.ts";

/** What a worker says of itself when it joins. */
export interface WorkerSubscription {
  readonly workerId: string;
  readonly url: string | undefined;
  readonly transactionalId: string | undefined;
  /** Held here now: running, or on its way up. */
  readonly owned: readonly string[];
  /** With state on this worker's disk. */
  readonly onDisk: readonly string[];
  /** This worker asks all others to stop (application-shutdown.ts). */
  readonly shutdown?: string;
}

export interface AssignedMember {
  readonly workerId: string;
  readonly url: string | undefined;
  readonly transactionalId: string | undefined;
  readonly tasks: readonly string[];
}

/** What every worker gets: its own tasks, and who has which. */
export interface WorkerAssignment {
  readonly tasks: readonly string[];
  /**
   * Tasks that wait for this worker to give them up: it joins again when it has, also when it holds none of them (a static member
   * that died with them and is back).
   */
  readonly revoked: readonly string[];
  /** Some task of the group is being given up and is nobody's: another rebalance follows. */
  readonly moving: boolean;
  readonly members: readonly AssignedMember[];
  /** Some worker asks this one to stop. */
  readonly shutdown?: string;
}

/** The coordinator keeps workers of another protocol out: one that does not join again after giving up a task would leave it without owner. */
export const ASSIGNOR_NAME = "sluice-cooperative";

export function stickyAssignor(taskIds: () => Promise<readonly string[]>): Assignor {
  return {
    name: ASSIGNOR_NAME,
    async assign(members: readonly GroupMemberInfo[]): Promise<Map<string, Buffer>> {
      const workers = members.map((member) => ({ memberId: member.memberId, ...decodeSubscription(member.userData) }));
      const { granted, revoked } = handOver(workers, assignTasks(workers, await taskIds()));
      const assigned = workers.map((worker): AssignedMember => ({
        workerId: worker.workerId,
        url: worker.url,
        transactionalId: worker.transactionalId,
        tasks: granted.get(worker.memberId) ?? [],
      }));
      const shutdown = latestShutdown(workers);
      const moving = [...revoked.values()].some((tasks) => tasks.length > 0);
      return new Map(
        workers.map(({ memberId }, index): [string, Buffer] => {
          const assignment: WorkerAssignment = {
            tasks: assigned[index].tasks,
            revoked: revoked.get(memberId) ?? [],
            moving,
            members: assigned,
            shutdown,
          };
          return [memberId, encodeJson(assignment)];
        }),
      );
    },
  };
}

/**
 * What of a target may be had in this generation: a task that another holds is nobody's until its holder has given it up. The
 * membership protocol lets no two members hold one; if two say so all the same, the one that may not keep it goes first.
 */
export function handOver(
  workers: readonly Candidate[],
  target: ReadonlyMap<string, readonly string[]>,
): { granted: Map<string, string[]>; revoked: Map<string, string[]> } {
  const granted = new Map<string, string[]>();
  const revoked = new Map<string, string[]>();
  for (const { memberId, owned } of workers) {
    const heldElsewhere = new Set(workers.flatMap((other) => (other.memberId === memberId ? [] : other.owned)));
    const wanted = target.get(memberId) ?? [];
    granted.set(
      memberId,
      wanted.filter((task) => !heldElsewhere.has(task)),
    );
    revoked.set(
      memberId,
      owned.filter((task) => !wanted.includes(task)),
    );
  }
  return { granted, revoked };
}

export interface Candidate {
  readonly memberId: string;
  readonly owned: readonly string[];
  readonly onDisk: readonly string[];
}

/** Loads differ by at most one task. Deterministic for the same input. */
export function assignTasks(workers: readonly Candidate[], taskIds: readonly string[]): Map<string, string[]> {
  const result = new Map(workers.map((worker) => [worker.memberId, [] as string[]]));
  if (workers.length === 0) return result;
  const floor = Math.floor(taskIds.length / workers.length);
  let largerShares = taskIds.length % workers.length;
  const free = new Set(taskIds);
  // whoever owns most keeps the larger shares, so that the fewest tasks move
  for (const worker of [...workers].sort((a, b) => b.owned.length - a.owned.length || compare(a.memberId, b.memberId))) {
    const keeps = [...new Set(worker.owned)].filter((task) => free.has(task));
    const share = keeps.length > floor && largerShares > 0 ? floor + 1 : floor;
    if (share > floor) largerShares--;
    for (const task of keeps.slice(0, share)) {
      free.delete(task);
      result.get(worker.memberId)?.push(task);
    }
  }
  const load = (worker: Candidate): number => result.get(worker.memberId)?.length ?? 0;
  for (const task of free) {
    let best = workers[0];
    for (const worker of workers) {
      const lighter = load(worker) - load(best);
      const closer = Number(best.onDisk.includes(task)) - Number(worker.onDisk.includes(task));
      if (lighter < 0 || (lighter === 0 && closer < 0) || (lighter === 0 && closer === 0 && compare(worker.memberId, best.memberId) < 0))
        best = worker;
    }
    result.get(best.memberId)?.push(task);
  }
  return result;
}

export function encodeSubscription(subscription: WorkerSubscription): Buffer {
  return encodeJson(subscription);
}

/** A member whose user data cannot be read still gets its share: it may be a newer version of us. */
export function decodeSubscription(userData: Buffer): WorkerSubscription {
  const parsed = parseObject(userData);
  return {
    workerId: typeof parsed.workerId === "string" ? parsed.workerId : "unknown",
    url: typeof parsed.url === "string" ? parsed.url : undefined,
    transactionalId: typeof parsed.transactionalId === "string" ? parsed.transactionalId : undefined,
    owned: strings(parsed.owned),
    onDisk: strings(parsed.onDisk),
    shutdown: typeof parsed.shutdown === "string" ? parsed.shutdown : undefined,
  };
}

export function decodeAssignment(assignment: Buffer): WorkerAssignment {
  const parsed = parseObject(assignment);
  const members = Array.isArray(parsed.members) ? (parsed.members as Record<string, unknown>[]) : [];
  return {
    tasks: strings(parsed.tasks),
    revoked: strings(parsed.revoked),
    moving: parsed.moving === true,
    members: members.map((member) => ({
      workerId: String(member.workerId),
      url: typeof member.url === "string" ? member.url : undefined,
      transactionalId: typeof member.transactionalId === "string" ? member.transactionalId : undefined,
      tasks: strings(member.tasks),
    })),
    shutdown: typeof parsed.shutdown === "string" ? parsed.shutdown : undefined,
  };
}

function encodeJson(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}

function parseObject(bytes: Buffer): Record<string, unknown> {
  if (bytes.length === 0) return {};
  try {
    const parsed: unknown = JSON.parse(bytes.toString("utf8"));
    return typeof parsed === "object" && parsed !== null ? (parsed as Record<string, unknown>) : {};
  } catch {
    return {}; // foreign bytes: as if the member had said nothing
  }
}

function strings(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === "string") : [];
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
