/**
 * A member of a classic group. One loop makes every listener call, so that they never overlap:
 *
 *     join -> onAssigned -> wait for a reason to leave the generation
 *       ^                      rebalance, rejoin(): onRevoked, then join
 *       └───────────────────── membership gone:     onLost, then join as a new member
 */
import type { Logger } from "pino";
import { LogError } from "../../errors.ts";
import type { CommittedOffset, GroupMember, GroupMetadata, GroupOptions, TopicPartition } from "../../port.ts";
import type { Cluster } from "../connection/cluster.ts";
import type { Connections } from "../connection/connections.ts";
import { CoordinatorClient } from "../connection/coordinator-client.ts";
import { delay, retrying } from "../connection/retry.ts";
import { commitOffsets } from "../commit-offsets.ts";
import { fetchCommitted } from "../fetch-committed.ts";
import { isTransient, protocolError } from "../protocol-errors.ts";
import { leaveGroupRequest, type GroupIdentity } from "../requests/group.ts";
import { GroupSession, type Generation } from "./group-session.ts";
import { Heartbeats } from "./heartbeats.ts";

/** Between tries to join: a coordinator that moves is back within seconds. */
const FIRST_JOIN_DELAY_MS = 50;
const MAX_JOIN_DELAY_MS = 1_000;
/** committed() and commitOffsets() with all their retries. */
const OFFSETS_TIMEOUT_MS = 30_000;
/** A clean stop does not wait longer for the coordinator; the session time-out does the rest. */
const LEAVE_TIMEOUT_MS = 3_000;

/** `final`: another process has the same instance id, or rights are missing; a new membership would not help. */
type Reason =
  { readonly kind: "rebalance" } | { readonly kind: "lost"; readonly error: LogError; readonly final: boolean } | { readonly kind: "left" };

export class KafkaGroupMember implements GroupMember {
  readonly #options: GroupOptions;
  readonly #logger: Logger;
  /** Joins wait at the broker, and hold up what comes behind them on their connection: offsets have their own. */
  readonly #joinConnections: Connections;
  readonly #offsetConnections: Connections;
  readonly #offsets: CoordinatorClient;
  readonly #joins: CoordinatorClient;
  readonly #session: GroupSession;
  #identity: GroupIdentity | undefined;
  #heartbeats: Heartbeats | undefined;
  #started = false;
  #left = false;
  #reason: Reason | undefined;
  #interrupt: (() => void) | undefined;

  constructor(cluster: Cluster, options: GroupOptions, logger: Logger) {
    this.#options = options;
    this.#logger = logger;
    this.#joinConnections = cluster.connect();
    this.#offsetConnections = cluster.connect();
    this.#joins = new CoordinatorClient(cluster, this.#joinConnections, "group", options.groupId);
    this.#offsets = new CoordinatorClient(cluster, this.#offsetConnections, "group", options.groupId);
    this.#session = new GroupSession(this.#joins, options);
  }

  start(): Promise<void> {
    if (this.#started || this.#left)
      return Promise.reject(new LogError("invalid-state", `the member of ${this.#options.groupId} was started before`));
    this.#started = true;
    return new Promise((resolve, reject) => {
      let assigned = false;
      const onFirst = (): void => {
        assigned = true;
        resolve();
      };
      this.#run(onFirst).catch((cause: unknown) => {
        const error = cause instanceof Error ? cause : new LogError("invalid-state", "a listener failed", { cause });
        this.#heartbeats?.stop();
        if (this.#left && assigned) return; // what fails because of leave() is no failure
        if (assigned) this.#options.listener.onFatal(error);
        else reject(error);
      });
    });
  }

  metadata(): GroupMetadata {
    if (this.#identity === undefined) throw new LogError("invalid-state", `not a member of ${this.#options.groupId} yet`);
    const { groupId, generationId, memberId, instanceId } = this.#identity;
    return instanceId === undefined ? { groupId, generationId, memberId } : { groupId, generationId, memberId, instanceId };
  }

  rejoin(): void {
    this.#session.demandRebalance();
    this.#end({ kind: "rebalance" });
  }

  committed(partitions: readonly TopicPartition[]): Promise<readonly CommittedOffset[]> {
    return retrying({ withinMs: OFFSETS_TIMEOUT_MS, stopped: () => this.#left }, () =>
      fetchCommitted(this.#offsets, this.#options.groupId, partitions, true),
    );
  }

  async commitOffsets(offsets: readonly CommittedOffset[]): Promise<void> {
    if (offsets.length === 0) return;
    const group = this.metadata();
    await retrying({ withinMs: OFFSETS_TIMEOUT_MS, stopped: () => this.#left }, () => commitOffsets(this.#offsets, group, offsets));
  }

  async leave(): Promise<void> {
    if (this.#left) return;
    this.#left = true;
    this.#heartbeats?.stop();
    this.#end({ kind: "left" });
    await this.#joinConnections.close();
    const { memberId } = this.#session;
    if (this.#started && this.#options.instanceId === undefined && memberId !== "") await this.#sendLeave(memberId);
    await this.#offsetConnections.close();
  }

  async #run(onFirst: () => void): Promise<void> {
    const { listener } = this.#options;
    while (!this.#left) {
      // Cleared before the join: a rejoin() during it must lead to another one, with the user data of then.
      this.#reason = undefined;
      const generation = await this.#joinUntilAgreed();
      if (generation === undefined) break;
      this.#identity = generation.identity;
      this.#startHeartbeats(generation.identity);
      this.#logger.debug({ ...generation.identity }, "joined the group");
      await listener.onAssigned(generation.assignment, this.metadata());
      onFirst();
      const reason = await this.#nextReason();
      if (reason.kind === "left") break;
      if (reason.kind === "rebalance") await listener.onRevoked();
      else if (reason.final) throw reason.error;
      else await listener.onLost(reason.error);
      // Heartbeats went on during onRevoked(), and may have found the membership gone.
      if (this.#reasonNow()?.kind === "lost") this.#session.forgetMember();
      this.#heartbeats?.stop();
    }
    onFirst(); // start() must not hang when leave() came first
  }

  #reasonNow(): Reason | undefined {
    return this.#reason;
  }

  async #joinUntilAgreed(): Promise<Generation | undefined> {
    for (let delayMs = FIRST_JOIN_DELAY_MS; !this.#left;) {
      try {
        const generation = await this.#session.join();
        if (generation !== "again") return generation;
        continue;
      } catch (error) {
        if (this.#left) return undefined;
        if (!(error instanceof LogError) || error.action !== "retriable") throw error;
        this.#logger.warn({ err: error, groupId: this.#options.groupId }, "joining the group failed, trying again");
      }
      await delay(delayMs);
      delayMs = Math.min(delayMs * 2, MAX_JOIN_DELAY_MS);
    }
    return undefined;
  }

  #startHeartbeats(identity: GroupIdentity): void {
    const { heartbeatIntervalMs, sessionTimeoutMs } = this.#options;
    if (this.#left) return;
    this.#heartbeats = new Heartbeats(
      this.#joins,
      identity,
      { intervalMs: heartbeatIntervalMs, timeoutMs: sessionTimeoutMs },
      {
        rebalance: () => this.#end({ kind: "rebalance" }),
        lost: (error, final) => this.#end({ kind: "lost", error, final }),
      },
    );
  }

  /** Ends the current generation. A lost membership outranks a rebalance, and leaving both. */
  #end(reason: Reason): void {
    if (this.#reason === undefined || reason.kind === "left" || (reason.kind === "lost" && this.#reason.kind === "rebalance"))
      this.#reason = reason;
    this.#interrupt?.();
  }

  async #nextReason(): Promise<Reason> {
    if (this.#reason === undefined && !this.#left) await new Promise<void>((resolve) => (this.#interrupt = resolve));
    this.#interrupt = undefined;
    return this.#reason ?? { kind: "left" };
  }

  async #sendLeave(memberId: string): Promise<void> {
    try {
      await retrying({ withinMs: LEAVE_TIMEOUT_MS }, async () => {
        const errorCode = await this.#offsets.send(leaveGroupRequest(this.#options.groupId, memberId), (code) => code, LEAVE_TIMEOUT_MS);
        if (isTransient(errorCode)) throw protocolError(errorCode, "LeaveGroup");
      });
    } catch (error) {
      this.#logger.debug({ err: error }, "leaving the group failed; its session will time out");
    }
  }
}
