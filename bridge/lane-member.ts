/** A member of a group that shares out lanes (lane-assignor.ts): partitions of commands and shadows, slots of the ingress. */
import type { Logger } from "pino";
import type { EventLog, GroupMember } from "../eventlog/port.ts";
import { decodeLanes, encodeLanes, laneAssignor, type Lanes } from "./lane-assignor.ts";

export interface LaneGroup {
  /** Of the assignor on the wire; for people too. */
  readonly name: string;
  readonly laneCount: number;
  readonly groupId: string;
  /** Set: after a restart within the session time-out this member has its lanes back, and nobody else moves. */
  readonly instanceId?: string;
  /** What the group reads, if it reads: with it Kafka's own tools can describe the group. */
  readonly topics?: readonly string[];
  /** A member that gives no sign of life for so long is replaced. ms. */
  readonly sessionTimeoutMs: number;
}

export interface LaneListener {
  /** What it has now. */
  held(): Lanes;
  /** Resolves when what is not in `lanes` is given up. True: it was something, which others may have now. */
  assigned(lanes: Lanes): Promise<boolean>;
  /** Another member may have any of its lanes already. */
  lost(): Promise<void>;
  failed(error: Error): void;
}

/** How long the group waits for a member that gives up lanes: its last round, or its last acknowledgements. */
const REBALANCE_TIMEOUT_MS = 60_000;
const MAX_HEARTBEAT_MS = 500;

/** Not started. */
export function laneMember(log: EventLog, { name, laneCount, ...group }: LaneGroup, listener: LaneListener, logger: Logger): GroupMember {
  const member = log.group({
    ...group,
    rebalanceTimeoutMs: REBALANCE_TIMEOUT_MS,
    heartbeatIntervalMs: Math.min(MAX_HEARTBEAT_MS, group.sessionTimeoutMs / 3),
    userData: () => encodeLanes(listener.held()),
    assignor: laneAssignor(name, laneCount),
    listener: {
      onAssigned: async (assignment) => {
        const lanes = decodeLanes(assignment);
        const gaveUp = await listener.assigned(lanes);
        logger.info({ group: group.groupId, lanes }, `${name}: lanes assigned`);
        if (gaveUp) member.rejoin();
      },
      onLost: async (error) => {
        logger.warn({ err: error, group: group.groupId }, `${name}: lost the group membership`);
        await listener.lost();
      },
      onFatal: (error) => listener.failed(error),
    },
  });
  return member;
}
