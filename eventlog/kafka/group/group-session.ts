/** Joining a group: JoinGroup, the leader's assignment, SyncGroup, until one generation is agreed on. */
import { LogError } from "../../errors.ts";
import type { GroupMemberInfo, GroupOptions } from "../../port.ts";
import type { CoordinatorClient } from "../connection/coordinator-client.ts";
import {
  ILLEGAL_GENERATION,
  isTransient,
  MEMBER_ID_REQUIRED,
  NONE,
  protocolError,
  REBALANCE_IN_PROGRESS,
  UNKNOWN_MEMBER_ID,
} from "../protocol-errors.ts";
import { joinGroupRequest, syncGroupRequest, type GroupIdentity, type JoinGroupResponse } from "../requests/group.ts";
import { assignmentUserData, encodeAssignment, encodeSubscription, subscriptionUserData } from "./consumer-protocol.ts";
import { Heartbeats } from "./heartbeats.ts";

/** The broker answers a join only when all have joined or the rebalance time-out is over; this much later it is taken for dead. */
const JOIN_SLACK_MS = 5_000;
/**
 * Without topics in the subscription Kafka would take the group's offsets for those of topics nobody reads, and expire them
 * after offsets.retention.minutes (GroupMetadata, KIP-211); it does so for the type "consumer" only.
 */
const OWN_PROTOCOL_TYPE = "sluice";
const CONSUMER_PROTOCOL_TYPE = "consumer";

export interface Generation {
  readonly identity: GroupIdentity;
  readonly assignment: Buffer;
}

/** What became of one try. "again": another one is due, perhaps with a new member id. "lost": the coordinator has dropped this member. */
type Attempt<T> = T | "again" | "lost";

export class GroupSession {
  readonly #coordinator: CoordinatorClient;
  readonly #options: GroupOptions;
  readonly #onGeneration: (identity: GroupIdentity) => void;
  #memberId = "";
  #rejoins = 0;
  /** Since the membership began: its end is then for the owner to hear, who holds what others may be given. */
  #hasBeenIn = false;

  /** @param onGeneration from the answer to JoinGroup on, the coordinator takes transactional commits of the new generation only. */
  constructor(coordinator: CoordinatorClient, options: GroupOptions, onGeneration: (identity: GroupIdentity) => void) {
    this.#coordinator = coordinator;
    this.#options = options;
    this.#onGeneration = onGeneration;
  }

  /** Empty before the coordinator gave one. */
  get memberId(): string {
    return this.#memberId;
  }

  /** The membership is gone: the next join is that of a new member. */
  forgetMember(): void {
    this.#memberId = "";
    this.#hasBeenIn = false;
  }

  /** The next join asks for a rebalance, even with the same user data as before. */
  demandRebalance(): void {
    this.#rejoins++;
  }

  /** One round of the protocol. Rejects with `unavailable`/`timed-out` (try later) or for good. */
  async join(): Promise<Attempt<Generation>> {
    const joined = await this.#join();
    if (joined === "again" || joined === "lost") return joined;
    const { groupId, instanceId } = this.#options;
    const identity: GroupIdentity = { groupId, instanceId, generationId: joined.generationId, memberId: joined.memberId };
    this.#hasBeenIn = true;
    this.#onGeneration(identity);
    const assignments = joined.leaderId === joined.memberId ? await this.#lead(joined, identity) : new Map<string, Buffer>();
    const synced = await this.#coordinator.send(
      syncGroupRequest(identity, assignments),
      ({ errorCode }) => errorCode,
      this.#joinTimeoutMs(),
    );
    const next = this.#mustRepeat(synced.errorCode);
    if (next !== undefined) return next;
    if (synced.errorCode !== NONE) throw protocolError(synced.errorCode, `SyncGroup of ${groupId}`);
    return { identity, assignment: assignmentUserData(synced.assignment) };
  }

  async #join(): Promise<Attempt<JoinGroupResponse>> {
    const { groupId, instanceId, sessionTimeoutMs, rebalanceTimeoutMs, topics } = this.#options;
    const request = joinGroupRequest({
      groupId,
      instanceId,
      memberId: this.#memberId,
      sessionTimeoutMs,
      rebalanceTimeoutMs,
      protocolType: topics === undefined ? OWN_PROTOCOL_TYPE : CONSUMER_PROTOCOL_TYPE,
      protocolName: this.#options.assignor.name,
      metadata: encodeSubscription(topics ?? [], this.#options.userData(), this.#rejoins),
    });
    const joined = await this.#coordinator.send(request, ({ errorCode }) => errorCode, this.#joinTimeoutMs());
    if (joined.errorCode === MEMBER_ID_REQUIRED) {
      this.#memberId = joined.memberId;
      return "again";
    }
    const next = this.#mustRepeat(joined.errorCode);
    if (next !== undefined) return next;
    if (joined.errorCode !== NONE) throw protocolError(joined.errorCode, `JoinGroup of ${groupId}`);
    this.#memberId = joined.memberId;
    return joined;
  }

  #mustRepeat(errorCode: number): "again" | "lost" | undefined {
    if (isTransient(errorCode)) throw protocolError(errorCode, `joining ${this.#options.groupId}`);
    if (errorCode === UNKNOWN_MEMBER_ID) {
      const wasIn = this.#hasBeenIn;
      this.forgetMember();
      return wasIn ? "lost" : "again";
    }
    return errorCode === ILLEGAL_GENERATION || errorCode === REBALANCE_IN_PROGRESS ? "again" : undefined;
  }

  /** The assignor may take its time (it may ask the log): heartbeats go on meanwhile. */
  async #lead(joined: JoinGroupResponse, identity: GroupIdentity): Promise<Map<string, Buffer>> {
    const members = joined.members.map(({ memberId, instanceId, metadata }): GroupMemberInfo => {
      const userData = subscriptionUserData(metadata);
      return instanceId === null ? { memberId, userData } : { memberId, instanceId, userData };
    });
    const { heartbeatIntervalMs, sessionTimeoutMs, assignor } = this.#options;
    const ignore = (): void => undefined; // SyncGroup's answer tells the same
    const beats = { intervalMs: heartbeatIntervalMs, timeoutMs: sessionTimeoutMs };
    const heartbeats = new Heartbeats(this.#coordinator, identity, beats, { rebalance: ignore, lost: ignore });
    let assigned: Map<string, Buffer>;
    try {
      assigned = await assignor.assign(members);
    } catch (error) {
      // Nothing is assigned then, and the group joins once more: what passes, passes.
      const code = error instanceof LogError && error.action === "retriable" ? "unavailable" : "invalid-state";
      const why = error instanceof Error ? error.message : String(error);
      throw new LogError(code, `the assignor "${assignor.name}" of group ${identity.groupId} failed: ${why}`, { cause: error });
    } finally {
      heartbeats.stop();
    }
    const missing = members.find(({ memberId }) => !assigned.has(memberId));
    if (missing !== undefined) throw new LogError("invalid-state", `the assignor "${assignor.name}" left out member ${missing.memberId}`);
    return new Map([...assigned].map(([memberId, assignment]) => [memberId, encodeAssignment(assignment)]));
  }

  #joinTimeoutMs(): number {
    return this.#options.rebalanceTimeoutMs + JOIN_SLACK_MS;
  }
}
