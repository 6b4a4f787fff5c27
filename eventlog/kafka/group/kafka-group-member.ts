/**
 * A member of a classic group. One loop makes every listener call, so that they never overlap:
 *
 *     join -> onAssigned -> wait for a reason to leave the generation
 *       ^                      rebalance, rejoin(): join
 *       └───────────────────── membership gone:     onLost, then join as a new member
 */
import type { Logger } from "pino";
import { LogError } from "../../errors.ts";
import type { CommittedOffset, GroupMember, GroupMetadata, GroupOptions, TopicPartition, Trouble } from "../../port.ts";
import type { Cluster } from "../connection/cluster.ts";
import type { Connections } from "../connection/connections.ts";
import { CoordinatorClient } from "../connection/coordinator-client.ts";
import { delay, retrying } from "../connection/retry.ts";
import { Generations } from "../../generations.ts";
import { refusedCommitError, tryCommitOffsets, type RefusedCommit } from "../commit-offsets.ts";
import { fetchCommitted } from "../fetch-committed.ts";
import { ILLEGAL_GENERATION, isTransient, protocolError, REBALANCE_IN_PROGRESS } from "../protocol-errors.ts";
import { leaveGroupRequest, type GroupIdentity } from "../requests/group.ts";
import { GroupSession, type Generation } from "./group-session.ts";
import { Heartbeats } from "./heartbeats.ts";

/** Between tries to join: a coordinator that moves is back within seconds. */
const FIRST_JOIN_DELAY_MS = 50;
const MAX_JOIN_DELAY_MS = 1_000;
/** committed() and commitOffsets() with all their retries. */
const OFFSETS_TIMEOUT_MS = 30_000;
/** Between tries to commit while the leader assigns, which takes milliseconds. */
const COMPLETING_REBALANCE_DELAY_MS = 10;
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
  readonly #generations: Generations;
  #heartbeats: Heartbeats | undefined;
  #joinTrouble: Trouble | undefined;
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
    this.#generations = new Generations(options.groupId, options.rebalanceTimeoutMs);
    this.#session = new GroupSession(this.#joins, options, (identity) => this.#generations.began(metadataOf(identity)));
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
        this.#generations.ended(new LogError("closed", `the member of ${this.#options.groupId} gave up`, { cause }));
        if (this.#left && assigned) return; // what fails because of leave() is no failure
        if (assigned) this.#options.listener.onFatal(error);
        else reject(error);
      });
    });
  }

  metadata(): GroupMetadata {
    return this.#generations.current;
  }

  renewed(stale: GroupMetadata): Promise<void> {
    return this.#generations.renewed(stale);
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
    const deadline = performance.now() + OFFSETS_TIMEOUT_MS;
    for (;;) {
      const group = this.metadata();
      const refused = await this.#tryCommit(offsets, group);
      if (refused === undefined) return;
      if (refused.errorCode === ILLEGAL_GENERATION) await this.renewed(group);
      else if (performance.now() < deadline) await delay(COMPLETING_REBALANCE_DELAY_MS);
      else throw refusedCommitError(refused, group);
    }
  }

  /** Returns the refusal that a rebalance is the reason of. */
  #tryCommit(offsets: readonly CommittedOffset[], group: GroupMetadata): Promise<RefusedCommit | undefined> {
    return retrying({ withinMs: OFFSETS_TIMEOUT_MS, stopped: () => this.#left }, async () => {
      const refused = await tryCommitOffsets(this.#offsets, group, offsets);
      if (refused === undefined || refused.errorCode === ILLEGAL_GENERATION || refused.errorCode === REBALANCE_IN_PROGRESS) return refused;
      throw refusedCommitError(refused, group);
    });
  }

  get trouble(): Trouble | undefined {
    return this.#joinTrouble ?? this.#heartbeats?.trouble;
  }

  async leave(): Promise<void> {
    if (this.#left) return;
    this.#left = true;
    this.#heartbeats?.stop();
    this.#end({ kind: "left" });
    this.#generations.ended(new LogError("closed", `the member left ${this.#options.groupId}`));
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
      this.#startHeartbeats(generation.identity);
      this.#logger.debug({ ...generation.identity }, "joined the group");
      await listener.onAssigned(generation.assignment, metadataOf(generation.identity));
      onFirst();
      const reason = await this.#nextReason();
      if (reason.kind === "left") break;
      this.#heartbeats?.stop();
      if (reason.kind === "rebalance") continue;
      if (reason.final) throw reason.error;
      this.#session.forgetMember();
      await listener.onLost(reason.error);
    }
    onFirst(); // start() must not hang when leave() came first
  }

  async #joinUntilAgreed(): Promise<Generation | undefined> {
    for (let delayMs = FIRST_JOIN_DELAY_MS; !this.#left;) {
      let attempt: Generation | "again" | "lost";
      try {
        attempt = await this.#session.join();
      } catch (error) {
        if (this.#left) return undefined;
        if (!(error instanceof LogError) || error.action !== "retriable") throw error;
        this.#joinTrouble ??= { since: performance.now(), error };
        this.#logger.debug({ err: error, groupId: this.#options.groupId }, "joining the group failed, trying again");
        await delay(delayMs);
        delayMs = Math.min(delayMs * 2, MAX_JOIN_DELAY_MS);
        continue;
      }
      this.#joinTrouble = undefined;
      if (attempt === "lost") await this.#lostWhileJoining();
      else if (attempt !== "again") return attempt;
    }
    return undefined;
  }

  async #lostWhileJoining(): Promise<void> {
    const error = new LogError("stale-generation", `the coordinator of ${this.#options.groupId} has dropped this member`);
    this.#generations.ended(error);
    await this.#options.listener.onLost(error);
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
    if (reason.kind === "lost") this.#generations.ended(reason.error);
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

function metadataOf({ groupId, generationId, memberId, instanceId }: GroupIdentity): GroupMetadata {
  return instanceId === undefined ? { groupId, generationId, memberId } : { groupId, generationId, memberId, instanceId };
}
