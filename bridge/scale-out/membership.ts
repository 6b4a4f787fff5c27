/** Who has which slots: the group decides, or the configuration. */
import type { Logger } from "pino";
import type { EventLog, GroupMember } from "../../eventlog/port.ts";
import { laneMember, type LaneGroup, type LaneListener } from "../lane-member.ts";

export interface Membership {
  /** Resolves after the first assigned(). */
  start(): Promise<void>;
  /** False: another replica may have been given this one's slots, and this one would not know. */
  readonly isCertain: boolean;
  /** Asks for an assignment again. */
  rejoin(): void;
  leave(): Promise<void>;
}

/** Slots by the replica's number: a replica that is away is replaced by nobody but itself. */
export class FixedMembership implements Membership {
  readonly isCertain = true;
  readonly #slots: readonly number[];
  readonly #listener: LaneListener;

  constructor(slotCount: number, replica: number, replicas: number, listener: LaneListener) {
    this.#slots = Array.from({ length: slotCount }, (_, slot) => slot).filter((slot) => slot % replicas === replica);
    this.#listener = listener;
  }

  async start(): Promise<void> {
    await this.#listener.assigned(this.#slots);
  }

  /** The same again: what was given up is taken once more. */
  rejoin(): void {
    void this.#listener.assigned(this.#slots).catch((error: unknown) => {
      this.#listener.failed(error instanceof Error ? error : new Error(String(error)));
    });
  }

  // async: the interface's shape; there is nobody to tell
  async leave(): Promise<void> {
    return;
  }
}

export type GroupSettings = Pick<LaneGroup, "groupId" | "instanceId" | "sessionTimeoutMs">;

export class GroupMembership implements Membership {
  readonly #member: GroupMember;
  readonly #sessionTimeoutMs: number;

  constructor(settings: GroupSettings, slotCount: number, log: EventLog, logger: Logger, listener: LaneListener) {
    this.#sessionTimeoutMs = settings.sessionTimeoutMs;
    this.#member = laneMember(log, { name: "sluice-ingress", laneCount: slotCount, ...settings }, listener, logger);
  }

  start(): Promise<void> {
    return this.#member.start();
  }

  /** Half of the session: the coordinator counts from the last heartbeat it saw, not from the first that failed. */
  get isCertain(): boolean {
    const { trouble } = this.#member;
    return trouble === undefined || performance.now() - trouble.since < this.#sessionTimeoutMs / 2;
  }

  rejoin(): void {
    this.#member.rejoin();
  }

  leave(): Promise<void> {
    return this.#member.leave();
  }
}
