/**
 * The worker's part in its group. A rebalance does not stop the loop: tasks that stay run on, and what they commit is stamped with
 * the generation before or after. A task that moves takes part in one more commit, is checkpointed and closed, and only then is
 * offered to the others, by joining again:
 *
 *     join (owned tasks) -> assigned -> open what is new, drain what goes -> close it -> join again
 *     membership lost    -> everything is dropped without a commit -> join as a new member
 */
import type { Logger } from "pino";
import type { EventLog, GroupMember, Trouble } from "../eventlog/port.ts";
import type { Topology } from "../topology/topology.ts";
import type { ApplicationShutdown } from "./application-shutdown.ts";
import { taskAssignor } from "./assignor.ts";
import type { Committer } from "./committer.ts";
import { RuntimeError } from "./errors.ts";
import { decodeAssignment, encodeSubscription, type WorkerAssignment } from "./group-protocol.ts";
import type { Mutex } from "./mutex.ts";
import type { ProcessingLoop } from "./processing-loop.ts";
import type { StandbyTasks } from "./standby-tasks.ts";
import { changelogPosition, type TaskDirectories } from "./task-directories.ts";
import type { TaskManager } from "./task-manager.ts";
import { tasksToPlace } from "./tasks-to-place.ts";
import type { WorkerOptions } from "./worker-options.ts";

/** How long the group waits for a member that is busy with its assignment (a last commit, a checkpoint, a slow log) before it goes on without it. */
const REBALANCE_TIMEOUT_MS = 60_000;
/** A rebalance is noticed with a heartbeat, and a task that moves waits for that: four a second cost a broker nothing. */
const MAX_HEARTBEAT_MS = 250;
/** A worker that has caught up asks for its task once in this time: what keeps the leader from giving it may last. */
const WARM_REJOIN_INTERVAL_MS = 10_000;
/** With a very short session time-out; bounds the requests. */
const MIN_HEARTBEAT_MS = 100;

export interface MembershipOptions {
  readonly worker: WorkerOptions;
  readonly workerId: string;
  readonly transactionalId: string | undefined;
  readonly log: EventLog;
  readonly topology: Topology;
  readonly tasks: TaskManager;
  readonly standbys: StandbyTasks;
  readonly directories: TaskDirectories;
  /** Changelog offsets that the new worker of a task may have to replay. */
  readonly acceptableLag: number;
  readonly processing: ProcessingLoop;
  readonly committer: Committer;
  /** Held by the loop's turns. */
  readonly mutex: Mutex;
  readonly logger: Logger;
  /** False once the worker stops or has failed: its tasks are then its own affair. */
  readonly isLive: () => boolean;
  /** The set of tasks has changed. */
  readonly onTasksChanged: () => void;
  readonly onRebalanced: () => void;
  readonly shutdown: ApplicationShutdown;
  /** Another worker, or this one, asks all workers to stop. */
  readonly onShutdown: (request: string) => void;
  readonly onFatal: (error: unknown) => void;
}

export class Membership {
  readonly #options: MembershipOptions;
  readonly #logger: Logger;
  #member: GroupMember | undefined;
  #announcedUrl: string | undefined;
  #isSettled = false;
  #warmRejoinAt = -Infinity;

  constructor(options: MembershipOptions) {
    this.#options = options;
    this.#logger = options.logger;
  }

  /** Throws `not-running` before start(). */
  get group(): GroupMember {
    if (this.#member === undefined) throw new RuntimeError("not-running", "the worker has not been started");
    return this.#member;
  }

  /** Of joining, or staying in, the group. */
  get trouble(): Trouble | undefined {
    return this.#member?.trouble;
  }

  /**
   * Every task of the group is assigned, as far as this worker knows. False from each join until the assignment, so that no list of
   * rows is taken for whole while a task is between two workers.
   */
  get isSettled(): boolean {
    return this.#isSettled;
  }

  /** For a worker that had to drop what it held. */
  startOver(): void {
    this.#isSettled = false;
    this.group.rejoin();
  }

  /** A task that is meant for this worker could run here at once: the leader hears of it with the next join. */
  warm(taskId: string): void {
    if (performance.now() - this.#warmRejoinAt < WARM_REJOIN_INTERVAL_MS) return;
    this.#warmRejoinAt = performance.now();
    this.#logger.info({ taskId }, "caught up on a task that is to move here: asking for it");
    this.group.rejoin();
  }

  /** Resolves with the first assignment. */
  async start(): Promise<void> {
    const { log, topology, logger, acceptableLag, onTasksChanged } = this.#options;
    const { applicationId, instanceId, sessionTimeoutMs, processing } = this.#options.worker;
    this.#member = log.group({
      groupId: applicationId,
      topics: topology.sourceTopics,
      instanceId,
      sessionTimeoutMs,
      rebalanceTimeoutMs: Math.max(REBALANCE_TIMEOUT_MS, sessionTimeoutMs),
      heartbeatIntervalMs: Math.max(MIN_HEARTBEAT_MS, Math.min(MAX_HEARTBEAT_MS, Math.floor(sessionTimeoutMs / 5))),
      userData: () => {
        this.#isSettled = false;
        onTasksChanged();
        return this.#subscription();
      },
      assignor: taskAssignor({
        tasks: (withEnds) => tasksToPlace(topology, log, applicationId, withEnds, logger),
        standbyReplicas: processing.standbyReplicas ?? 0,
        acceptableLag,
      }),
      listener: {
        onAssigned: (assignment) => this.#onAssigned(decodeAssignment(assignment)),
        onLost: (error) => this.#onLost(error),
        onFatal: this.#options.onFatal,
      },
    });
    await this.#member.start();
  }

  async leave(): Promise<void> {
    await this.#member?.leave();
  }

  #subscription(): Buffer {
    const { workerId, transactionalId, tasks, standbys, directories } = this.#options;
    const { advertisedUrl, rack } = this.#options.worker;
    const positions = directories.positions();
    for (const { taskId, position } of standbys.tasks) positions.set(taskId, position);
    // Not what the disk says: a task on its way up is behind until it has been restored (KAFKA-10651).
    for (const { taskId, state } of tasks.tasks) positions.set(taskId, changelogPosition(state));
    const running = tasks.up.map(({ taskId }) => taskId);
    for (const taskId of running) positions.delete(taskId);
    return encodeSubscription({
      workerId,
      url: advertisedUrl,
      transactionalId,
      owned: tasks.taskIds,
      running,
      standbys: standbys.taskIds,
      positions: Object.fromEntries(positions),
      stateId: directories.stateId(),
      rack,
      shutdown: this.#options.shutdown.request,
      readsPacked: true,
    });
  }

  async #onAssigned(assignment: WorkerAssignment): Promise<void> {
    const { processing, tasks, standbys, mutex, isLive, onTasksChanged, onRebalanced } = this.#options;
    const shutdown = this.#options.shutdown.heard(assignment.shutdown);
    if (shutdown !== undefined) return this.#options.onShutdown(shutdown);
    processing.wake();
    let drained = Promise.resolve();
    await mutex.run(async () => {
      if (!isLive()) return;
      onRebalanced();
      this.#isSettled = !assignment.moving;
      this.#logger.info(
        {
          tasks: assignment.tasks,
          revoked: assignment.revoked,
          standbys: assignment.standbys,
          warmups: assignment.warmups,
          members: assignment.members.length,
        },
        assignment.revoked.length > 0 ? "assigned; giving tasks up" : "assigned",
      );
      drained = processing.drain(tasks.follow(assignment, this.group));
      onTasksChanged();
    });
    await drained;
    if (!isLive()) return; // stopping commits and closes what is left
    await tasks.closeLeaving();
    standbys.follow(
      assignment.standbys.filter((taskId) => !tasks.taskIds.includes(taskId)),
      assignment.warmups,
    );
    onTasksChanged();
    if (assignment.revoked.length > 0) this.group.rejoin();
    else this.#announceUrl(assignment);
  }

  /** A static member that comes back under another address gets its old assignment, which tells the old address to everybody. */
  #announceUrl({ members }: WorkerAssignment): void {
    const { advertisedUrl } = this.#options.worker;
    const known = members.find((member) => member.workerId === this.#options.workerId);
    if (known === undefined || known.url === advertisedUrl || this.#announcedUrl === advertisedUrl) return;
    this.#announcedUrl = advertisedUrl;
    this.group.rejoin();
  }

  /** Others may own the tasks by now: nothing is committed. A commit that failed is cleared up by the loop's next turn. */
  async #onLost(error: Error): Promise<void> {
    const { processing, committer, tasks, mutex, isLive, onTasksChanged } = this.#options;
    this.#logger.warn({ err: error }, "lost the group membership: dropping all tasks without a commit");
    processing.wake();
    await mutex.run(async () => {
      if (!isLive()) return;
      await committer.settled();
      committer.discard();
      this.#isSettled = false;
      await tasks.closeAll();
      processing.assign();
      onTasksChanged();
    });
  }
}
