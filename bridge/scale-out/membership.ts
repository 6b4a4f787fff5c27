/** Who has which slots: the group decides, or the configuration. */
import type { Logger } from "pino";
import type { Assignor, EventLog, GroupMember } from "../../eventlog/port.ts";
import { decodeLanes, encodeLanes, laneAssignor } from "../lane-assignor.ts";

export interface SlotListener {
  /** Resolves when this replica has given up what is not in `slots`. True: it gave up something, which others may have now. */
  assigned(slots: readonly number[]): Promise<boolean>;
  /** Another replica may have any of its slots already. */
  lost(error: Error): Promise<void>;
  failed(error: Error): void;
  /** What it has now. */
  held(): readonly number[];
}

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
  readonly #listener: SlotListener;

  constructor(slotCount: number, replica: number, replicas: number, listener: SlotListener) {
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

export interface GroupSettings {
  readonly groupId: string;
  /** Set: after a restart within the session time-out this replica has its slots back, and nobody else moves. */
  readonly instanceId?: string;
  /** A replica that gives no sign of life for so long is replaced. ms. */
  readonly sessionTimeoutMs: number;
}

/** How long the group waits for a replica that hands over slots: longer than a session takes to end (`stopTimeoutMs`). */
const REBALANCE_TIMEOUT_MS = 60_000;
const MAX_HEARTBEAT_MS = 500;

export class GroupMembership implements Membership {
  readonly #member: GroupMember;
  readonly #sessionTimeoutMs: number;

  constructor(settings: GroupSettings, slotCount: number, log: EventLog, logger: Logger, listener: SlotListener) {
    this.#sessionTimeoutMs = settings.sessionTimeoutMs;
    const assignor: Assignor = laneAssignor("sluice-ingress", slotCount);
    this.#member = log.group({
      ...settings,
      rebalanceTimeoutMs: REBALANCE_TIMEOUT_MS,
      heartbeatIntervalMs: Math.min(MAX_HEARTBEAT_MS, settings.sessionTimeoutMs / 3),
      userData: () => encodeLanes(listener.held()),
      assignor,
      listener: {
        onAssigned: async (assignment) => {
          const slots = decodeLanes(assignment);
          logger.info({ slots }, "slots of the ingress assigned");
          if (await listener.assigned(slots)) this.rejoin();
        },
        onLost: (error) => listener.lost(error),
        onFatal: (error) => listener.failed(error),
      },
    });
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
