/**
 * Cooperative assignment of tasks to workers; runs on the group's leader. Who should have what is placement.ts's business. A task that
 * moves is first taken from its owner and given to nobody; the owner closes it and asks for the rebalance that hands it out (KIP-429).
 */
import type { Assignor, GroupMemberInfo } from "../eventlog/port.ts";
import { latestShutdown } from "./application-shutdown.ts";
import { decodeSubscription, encodeAssignment, packMembers, type AssignedMember } from "./group-protocol.ts";
import { placeTasks, type Candidate, type TaskToPlace } from "./placement.ts";

/** The coordinator keeps workers of another protocol out: one that does not join again after giving up a task would leave it without owner. */
export const ASSIGNOR_NAME = "sluice-cooperative";

export interface TaskAssignorOptions {
  /** All tasks of the application. `withEnds`: it matters how far their changelogs reach. */
  readonly tasks: (withEnds: boolean) => Promise<readonly TaskToPlace[]>;
  readonly standbyReplicas: number;
  readonly acceptableLag?: number;
}

export function taskAssignor(options: TaskAssignorOptions): Assignor {
  return {
    name: ASSIGNOR_NAME,
    async assign(members: readonly GroupMemberInfo[]): Promise<Map<string, Buffer>> {
      const workers = members.map(({ memberId, userData }) => {
        const subscription = decodeSubscription(userData, memberId);
        return { ...subscription, memberId, positions: new Map(Object.entries(subscription.positions)) };
      });
      const placement = placeTasks(workers, await options.tasks(workers.length > 1), options);
      const { granted, revoked } = handOver(workers, placement.active);
      const standbys = new Map(
        workers.map((worker) => [worker.memberId, standbysOf(worker, placement, granted.get(worker.memberId) ?? [])] as const),
      );
      const assigned = workers.map((worker): AssignedMember => ({
        workerId: worker.workerId,
        url: worker.url,
        transactionalId: worker.transactionalId,
        tasks: granted.get(worker.memberId) ?? [],
        standbys: standbys.get(worker.memberId) ?? [],
      }));
      const packed = workers.every(({ readsPacked }) => readsPacked === true) ? packMembers(assigned) : undefined;
      const shutdown = latestShutdown(workers);
      const moving = [...revoked.values()].some((tasks) => tasks.length > 0);
      return new Map(
        workers.map(({ memberId }, index): [string, Buffer] => [
          memberId,
          encodeAssignment(
            {
              tasks: assigned[index].tasks,
              revoked: revoked.get(memberId) ?? [],
              standbys: assigned[index].standbys,
              warmups: [...(placement.warmups.get(memberId) ?? [])],
              moving,
              members: assigned,
              shutdown,
            },
            packed,
          ),
        ]),
      );
    },
  };
}

/** Copies, warm-ups, and the copy of a task that waits for its owner to give it up: it will be run from there. */
function standbysOf(
  { memberId, standbys }: Candidate,
  { active, standbys: copies, warmups }: ReturnType<typeof placeTasks>,
  granted: readonly string[],
): string[] {
  const awaited = (active.get(memberId) ?? []).filter((task) => !granted.includes(task) && standbys.includes(task));
  return [...new Set([...(copies.get(memberId) ?? []), ...(warmups.get(memberId) ?? []), ...awaited])];
}

/**
 * What of a target may be had in this generation: a task that another holds is nobody's until its holder has given it up. The
 * membership protocol lets no two members hold one; if two say so all the same, the one that may not keep it goes first.
 */
export function handOver(
  workers: readonly Pick<Candidate, "memberId" | "owned">[],
  target: ReadonlyMap<string, readonly string[]>,
): { granted: Map<string, string[]>; revoked: Map<string, string[]> } {
  const granted = new Map<string, string[]>();
  const revoked = new Map<string, string[]>();
  const holders = new Map<string, Set<string>>();
  for (const { memberId, owned } of workers) for (const task of owned) holders.set(task, (holders.get(task) ?? new Set()).add(memberId));
  for (const { memberId, owned } of workers) {
    const wanted = target.get(memberId) ?? [];
    const isHeldElsewhere = (task: string): boolean => [...(holders.get(task) ?? [])].some((holder) => holder !== memberId);
    granted.set(
      memberId,
      wanted.filter((task) => !isHeldElsewhere(task)),
    );
    revoked.set(
      memberId,
      owned.filter((task) => !wanted.includes(task)),
    );
  }
  return { granted, revoked };
}
