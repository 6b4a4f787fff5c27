/**
 * Which member of a group has which lane: a partition of the commands' topics, or a slot of the ingress. Sticky and balanced: a member
 * keeps what it has up to its share, the rest goes to whoever has least. A lane that somebody still holds is given to another only
 * after it was given up, in a later rebalance.
 */
import type { Assignor, GroupMemberInfo } from "../eventlog/port.ts";

/** Numbers from 0. */
export type Lanes = readonly number[];

export function encodeLanes(lanes: Lanes): Buffer {
  return Buffer.from(lanes.join(","));
}

export function decodeLanes(bytes: Buffer): number[] {
  return bytes.length === 0 ? [] : bytes.toString().split(",").map(Number);
}

export function laneAssignor(name: string, laneCount: number): Assignor {
  return { name, assign: async (members) => assignLanes(members, laneCount) };
}

export function assignLanes(members: readonly GroupMemberInfo[], laneCount: number): Map<string, Buffer> {
  const sorted = [...members].sort((a, b) => (a.memberId < b.memberId ? -1 : 1));
  const holder = new Map<number, string>();
  for (const { memberId, userData } of sorted) {
    for (const lane of decodeLanes(userData)) if (lane < laneCount && !holder.has(lane)) holder.set(lane, memberId);
  }
  const targets = new Map<string, number[]>(sorted.map(({ memberId }) => [memberId, []]));
  const share = Math.floor(laneCount / sorted.length);
  let extra = laneCount % sorted.length;
  const orphans: number[] = [];
  for (let lane = 0; lane < laneCount; lane++) {
    const own = targets.get(holder.get(lane) ?? "");
    if (own === undefined || own.length > share || (own.length === share && extra === 0)) orphans.push(lane);
    else {
      if (own.length === share) extra--;
      own.push(lane);
    }
  }
  for (const lane of orphans) {
    const least = [...targets.values()].reduce((a, b) => (b.length < a.length ? b : a));
    least.push(lane);
  }
  return new Map(
    [...targets].map(([memberId, lanes]) => {
      const free = lanes.filter((lane) => (holder.get(lane) ?? memberId) === memberId);
      return [memberId, encodeLanes(free.sort((a, b) => a - b))];
    }),
  );
}
