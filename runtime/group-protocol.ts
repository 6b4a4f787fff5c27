/**
 * What workers tell the group's leader when they join, and what it tells them: JSON in the opaque bytes of the group protocol. Unknown
 * fields are ignored and missing ones have defaults, so that versions of us work together in one group.
 *
 * Who has which task is told to everybody, so it grows with the square of the group, and the broker keeps all of it in one record of at most
 * 1 MiB by default (`message.max.bytes`): a group over that never forms. So this part is packed, once for all, when all can read it.
 */
import { deflateRawSync, inflateRawSync } from "node:zlib";

/** A hundred times what 500 workers with 4,096 tasks need, unpacked. */
const MAX_UNPACKED_BYTES = 16 << 20;

/** What a worker says of itself when it joins. */
export interface WorkerSubscription {
  readonly workerId: string;
  readonly url: string | undefined;
  readonly transactionalId: string | undefined;
  /** Held here now: running, or on its way up. */
  readonly owned: readonly string[];
  /** Of those, the ones with up-to-date state. */
  readonly running: readonly string[];
  /** Copies of other workers' tasks held here now. */
  readonly standbys: readonly string[];
  /** Changelog offsets, summed over a task's stores, that the state here stands for; of every task with state that is not running. */
  readonly positions: Readonly<Record<string, number>>;
  /** Of the state directory: workers that share it have the same. */
  readonly stateId: string;
  readonly rack: string | undefined;
  /** This worker asks all others to stop (application-shutdown.ts). */
  readonly shutdown?: string;
  /** Absent in versions that only know `members` as a list. */
  readonly readsPacked?: boolean;
}

export interface AssignedMember {
  readonly workerId: string;
  readonly url: string | undefined;
  readonly transactionalId: string | undefined;
  readonly tasks: readonly string[];
  readonly standbys: readonly string[];
}

/** What every worker gets: its own tasks, and who has which. */
export interface WorkerAssignment {
  readonly tasks: readonly string[];
  /**
   * Tasks that wait for this worker to give them up: it joins again when it has, also when it holds none of them (a static member
   * that died with them and is back).
   */
  readonly revoked: readonly string[];
  /** Tasks of others whose state is to be kept here. */
  readonly standbys: readonly string[];
  /** Of these, the ones that are to run here: the worker joins again when it has caught up. */
  readonly warmups: readonly string[];
  /** Some task of the group is being given up and is nobody's: another rebalance follows. */
  readonly moving: boolean;
  readonly members: readonly AssignedMember[];
  /** Some worker asks this one to stop. */
  readonly shutdown?: string;
}

export function encodeSubscription(subscription: WorkerSubscription): Buffer {
  return encodeJson(subscription);
}

/** A member whose user data cannot be read still gets its share: it may be a newer version of us. */
export function decodeSubscription(userData: Buffer, memberId: string): WorkerSubscription {
  const parsed = parseObject(userData);
  const owned = strings(parsed.owned);
  return {
    workerId: text(parsed.workerId) ?? "unknown",
    url: text(parsed.url),
    transactionalId: text(parsed.transactionalId),
    owned,
    running: parsed.running === undefined ? owned : strings(parsed.running),
    standbys: strings(parsed.standbys),
    positions: numbers(parsed.positions),
    stateId: text(parsed.stateId) ?? memberId,
    rack: text(parsed.rack),
    shutdown: text(parsed.shutdown),
    readsPacked: parsed.readsPacked === true,
  };
}

export function packMembers(members: readonly AssignedMember[]): string {
  return deflateRawSync(encodeJson(members)).toString("base64");
}

/** @param packed the same members, from packMembers() */
export function encodeAssignment(assignment: WorkerAssignment, packed?: string): Buffer {
  return encodeJson(packed === undefined ? assignment : { ...assignment, members: packed });
}

export function decodeAssignment(assignment: Buffer): WorkerAssignment {
  const parsed = parseObject(assignment);
  const told = typeof parsed.members === "string" ? unpacked(parsed.members) : parsed.members;
  const members = Array.isArray(told) ? (told as Record<string, unknown>[]) : [];
  return {
    tasks: strings(parsed.tasks),
    revoked: strings(parsed.revoked),
    standbys: strings(parsed.standbys),
    warmups: strings(parsed.warmups),
    moving: parsed.moving === true,
    members: members.map((member) => ({
      workerId: String(member.workerId),
      url: text(member.url),
      transactionalId: text(member.transactionalId),
      tasks: strings(member.tasks),
      standbys: strings(member.standbys),
    })),
    shutdown: text(parsed.shutdown),
  };
}

function unpacked(members: string): unknown {
  return JSON.parse(String(inflateRawSync(Buffer.from(members, "base64"), { maxOutputLength: MAX_UNPACKED_BYTES })));
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

function text(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function strings(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === "string") : [];
}

function numbers(value: unknown): Record<string, number> {
  if (typeof value !== "object" || value === null) return {};
  return Object.fromEntries(Object.entries(value).filter((entry): entry is [string, number] => typeof entry[1] === "number"));
}
