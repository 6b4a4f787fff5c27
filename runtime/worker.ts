/**
 * A worker: member of the application's group, owner of tasks, one loop that fetches, processes and commits.
 *
 *     CREATED -> REBALANCING <-> RUNNING
 *                     |             |
 *                     '-> PENDING_SHUTDOWN -> NOT_RUNNING
 *                     '------> ERROR <------'
 */
import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { setImmediate as yieldToEventLoop } from "node:timers/promises";
import type { Logger } from "pino";
import { Registry } from "prom-client";
import { LogError } from "../eventlog/errors.ts";
import type { EventLog, GroupMember, LogReader } from "../eventlog/port.ts";
import { changelogTopic } from "../state/changelog.ts";
import type { Topology } from "../topology/topology.ts";
import { decodeAssignment, encodeSubscription, stickyAssignor, type WorkerAssignment } from "./assignor.ts";
import { Committer } from "./committer.ts";
import { RuntimeError } from "./errors.ts";
import { TopicFeed } from "./feed.ts";
import { createChangelogs, listTasks } from "./internal-topics.ts";
import { AtLeastOnceSink, ExactlyOnceSink, type LogSink } from "./log-sink.ts";
import { Mutex } from "./mutex.ts";
import { OffsetReset } from "./offset-reset.ts";
import { OutputCollector } from "./output-collector.ts";
import { PartitionCounts } from "./partition-counts.ts";
import type { Feed, Queries, WorkerInfo } from "./queries.ts";
import { ProcessingLoop } from "./processing-loop.ts";
import { Restorer } from "./restorer.ts";
import { StateMachine } from "./state-machine.ts";
import { listStateDirectories } from "./state-directories.ts";
import type { Task } from "./task.ts";
import { TaskManager } from "./task-manager.ts";
import { TaskOpener } from "./task-opener.ts";
import type { WorkerOptions } from "./worker-options.ts";
import { WorkerMetrics } from "./worker-metrics.ts";
import { WorkerQueries } from "./worker-queries.ts";

/** Between attempts to get the writer back after a failed commit. */
const RECOVERY_RETRY_MS = 200;

type WorkerState = WorkerInfo["state"];

export class Worker {
  readonly workerId: string;
  readonly queries: Queries;
  readonly feed: Feed;
  readonly registry: Registry;
  readonly #options: WorkerOptions;
  readonly #log: EventLog;
  readonly #logger: Logger;
  readonly #status = new StateMachine<WorkerState>("worker", "CREATED", {
    CREATED: ["REBALANCING", "PENDING_SHUTDOWN", "ERROR"],
    REBALANCING: ["RUNNING", "PENDING_SHUTDOWN", "ERROR"],
    RUNNING: ["REBALANCING", "PENDING_SHUTDOWN", "ERROR"],
    PENDING_SHUTDOWN: ["NOT_RUNNING", "ERROR"],
    NOT_RUNNING: [],
    ERROR: ["PENDING_SHUTDOWN", "NOT_RUNNING"],
  });
  readonly #mutex = new Mutex();
  readonly #collector = new OutputCollector();
  readonly #partitions: PartitionCounts;
  readonly #restorer: Restorer;
  readonly #tasks: TaskManager;
  readonly #sink: LogSink;
  readonly #committer: Committer;
  readonly #processing: ProcessingLoop;
  readonly #reader: LogReader;
  readonly #metrics: WorkerMetrics;
  readonly #feed: TopicFeed;
  readonly #finished = Promise.withResolvers<void>();
  #group: GroupMember | undefined;
  #loop: Promise<void> | undefined;
  #stopping: Promise<void> | undefined;
  /** Between onRevoked and onAssigned: nothing is processed, since a commit would carry a generation that is going. */
  #rebalancing = false;
  #fencing: Promise<void> | undefined;
  #announcedUrl: string | undefined;

  constructor(options: WorkerOptions) {
    this.#options = options;
    this.#log = options.log;
    this.workerId = options.instanceId ?? `${hostname()}-${randomUUID().slice(0, 8)}`;
    this.#logger = options.logger.child({ workerId: this.workerId });
    this.registry = options.registry ?? new Registry();
    const exactlyOnce = options.processing.guarantee === "exactly-once";
    const changelogOf = (store: string): string => changelogTopic(options.applicationId, store);
    this.#metrics = new WorkerMetrics(this.registry, {
      tasks: () => this.#tasks.tasks.length,
      lag: () => this.#tasks.tasks.reduce((lag, task) => lag + task.lag, 0),
      uncheckpointedBytes: () => this.#tasks.tasks.reduce((bytes, task) => bytes + task.state.uncheckpointedBytes, 0),
    });
    this.#partitions = new PartitionCounts(this.#log);
    this.#reader = this.#log.reader({ isolation: "read_committed" });
    this.#sink = exactlyOnce
      ? new ExactlyOnceSink(
          this.#log.txnWriter({ transactionalId: `${options.applicationId}/${this.workerId}`, timeoutMs: TRANSACTION_TIMEOUT_MS }),
        )
      : new AtLeastOnceSink(this.#log.plainWriter({}));
    this.#restorer = new Restorer(this.#log, exactlyOnce ? "read_committed" : "read_uncommitted", changelogOf, (records) =>
      this.#metrics.restored(records),
    );
    const opener = new TaskOpener({
      log: this.#log,
      applicationId: options.applicationId,
      stateDir: options.state.dir,
      engine: options.state.engine,
      cacheBytesPerTask: () => Math.floor((options.state.cacheMiB * 1024 * 1024) / Math.max(1, this.#tasks.taskIds.length)),
      restorer: this.#restorer,
      logger: this.#logger,
      fenceDead: () => this.#fenceDeadWorkers(),
    });
    this.#tasks = new TaskManager({
      topology: options.topology,
      collector: this.#collector,
      opener,
      restorer: this.#restorer,
      changelogOf,
      deadLetters: {
        topic: options.deadLetterTopic,
        get partitions() {
          return options.deadLetterTopic === undefined ? 1 : partitionsOf(options.deadLetterTopic);
        },
        maxValueBytes: options.maxDeadLetterBytes ?? 1_000_000,
        now: Date.now,
      },
      partitionsOf: (topic) => this.#partitions.of(topic),
      logger: this.#logger,
      onReady: (task) => void this.#onTaskReady(task).catch((error: unknown) => this.#fail(error)),
      onFailed: (taskId, error) =>
        this.#fail(new RuntimeError("task-not-ready", `task ${taskId} cannot start: ${messageOf(error)}`, error)),
    });
    const partitionsOf = (topic: string): number => this.#partitions.of(topic);
    this.#committer = new Committer({
      sink: this.#sink,
      collector: this.#collector,
      group: () => this.#requireGroup(),
      changelogOf,
      commitIntervalMs: options.processing.commitIntervalMs,
      metrics: this.#metrics,
      onSettled: () => this.#processing.wake(),
    });
    this.#processing = new ProcessingLoop(this.#reader, this.#tasks, this.#committer, {
      checkpointIntervalMs: options.processing.checkpointIntervalMs ?? 5_000,
      offsetReset: new OffsetReset(this.#log.admin, options.processing.offsetReset ?? "earliest", this.#logger),
      logger: this.#logger,
    });
    this.#feed = new TopicFeed(this.#log, this.#logger);
    this.feed = this.#feed;
    this.queries = new WorkerQueries({
      workerId: this.workerId,
      topology: options.topology,
      tasks: this.#tasks,
      restorer: this.#restorer,
      state: () => this.#status.state,
      partitionsOf,
    });
  }

  get state(): WorkerState {
    return this.#status.state;
  }

  onStateChange(listener: (now: WorkerState, before: WorkerState) => void): () => void {
    return this.#status.onChange(listener);
  }

  /** Resolves when the worker has stopped, rejects when it failed. */
  get finished(): Promise<void> {
    return this.#finished.promise;
  }

  /** Resolves when the worker has joined its group; tasks may still be restoring (see state). */
  async start(): Promise<void> {
    const { topology, applicationId, instanceId, sessionTimeoutMs, state, deadLetterTopic } = this.#options;
    this.#finished.promise.catch(() => undefined); // whoever cares awaits `finished`
    this.#status.to("REBALANCING");
    await this.#partitions.load([...topologyTopics(topology), ...(deadLetterTopic === undefined ? [] : [deadLetterTopic])]);
    await createChangelogs(topology, this.#log, applicationId);
    await this.#sink.open();
    this.#group = this.#log.group({
      groupId: applicationId,
      topics: topology.sourceTopics,
      instanceId,
      sessionTimeoutMs,
      rebalanceTimeoutMs: Math.max(REBALANCE_TIMEOUT_MS, sessionTimeoutMs),
      heartbeatIntervalMs: Math.max(100, Math.min(1_000, Math.floor(sessionTimeoutMs / 5))),
      userData: () =>
        encodeSubscription({
          workerId: this.workerId,
          url: this.#options.advertisedUrl,
          transactionalId: this.#sink.transactionalId,
          owned: this.#tasks.taskIds,
          onDisk: state.engine === "memory" ? [] : listStateDirectories(state.dir, applicationId),
        }),
      assignor: stickyAssignor(async () => (await listTasks(topology, this.#log)).map((task) => task.id)),
      listener: {
        onRevoked: () => this.#onRevoked(),
        onAssigned: (assignment) => this.#onAssigned(assignment),
        onLost: (error) => this.#onLost(error),
        onFatal: (error) => this.#fail(error),
      },
    });
    this.#loop = this.#run().catch((error: unknown) => this.#fail(error));
    await this.#group.start();
  }

  /** Finishes what is in hand, commits, checkpoints, leaves. Safe to call at any time and more than once. */
  stop(): Promise<void> {
    return (this.#stopping ??= this.#stop());
  }

  async #stop(): Promise<void> {
    const failed = this.state === "ERROR";
    this.#status.to("PENDING_SHUTDOWN");
    this.#processing.wake();
    await this.#loop;
    try {
      await this.#mutex.run(async () => {
        if (!failed) await this.#processing.commitAll();
        await this.#tasks.closeAll(true);
      });
    } catch (error) {
      this.#logger.error({ err: error }, "could not commit or checkpoint while stopping: the next start replays it");
    }
    await this.#group?.leave();
    await Promise.allSettled([this.#restorer.close(), this.#feed.close(), this.#sink.close(), this.#reader.close()]);
    this.#status.to("NOT_RUNNING");
    this.#finished.resolve();
  }

  // The loop

  async #run(): Promise<void> {
    while (this.#isLive) {
      await this.#mutex.run(() => this.#turn());
      await yieldToEventLoop();
    }
  }

  get #isLive(): boolean {
    return this.state === "REBALANCING" || this.state === "RUNNING";
  }

  /** One turn of the loop, or the way back after a failed commit. */
  async #turn(): Promise<void> {
    if (!this.#isLive) return;
    await (this.#committer.failure === undefined ? this.#processing.turn() : this.#recover());
  }

  /** After a failed commit: whatever went through is in the log; every task begins again from there. */
  async #recover(): Promise<void> {
    const { failure } = this.#committer;
    const action = failure instanceof LogError ? failure.action : "unknown-outcome";
    this.#logger.warn({ err: failure, action }, "commit failed: recovering");
    this.#metrics.recovered(action);
    if (action === "fatal") return this.#fail(failure);
    this.#collector.discard();
    const isFenced = action === "fenced";
    const ownedTasks = this.#tasks.taskIds.length > 0;
    if (isFenced) await this.#tasks.closeAll(true);
    try {
      await this.#sink.recover();
    } catch (error) {
      if (error instanceof LogError && error.action === "fatal") return this.#fail(error);
      this.#logger.warn({ err: error }, "the log is not back yet");
      await new Promise((resolve) => setTimeout(resolve, RECOVERY_RETRY_MS));
      return;
    }
    this.#committer.clearFailure();
    if (isFenced && ownedTasks) this.#requireGroup().rejoin();
    else await this.#tasks.reopenAll(this.#requireGroup());
    this.#processing.assign();
  }

  // The group

  /** Commit first, then give up: nobody else may start before this resolves. */
  async #onRevoked(): Promise<void> {
    this.#processing.wake();
    await this.#mutex.run(async () => {
      if (!this.#isLive) return;
      this.#status.to("REBALANCING");
      this.#rebalancing = true;
      try {
        await this.#processing.commitAll();
        this.#tasks.suspend();
      } catch (error) {
        this.#logger.warn({ err: error }, "commit before a rebalance failed: tasks will start again from the last commit");
        await this.#dropTasks();
      }
    });
  }

  async #onAssigned(bytes: Buffer): Promise<void> {
    this.#processing.wake();
    await this.#mutex.run(async () => {
      if (!this.#isLive) return;
      this.#rebalancing = false;
      this.#metrics.rebalanced();
      const assignment = decodeAssignment(bytes);
      this.#logger.info({ tasks: assignment.tasks, members: assignment.members.length }, "assigned");
      await this.#tasks.apply(assignment, this.#requireGroup());
      this.#processing.assign();
      this.#runningIfReady();
      this.#announceUrl(assignment);
    });
  }

  /** A static member that comes back under another address gets its old assignment, which tells the old address to everybody. */
  #announceUrl({ members }: WorkerAssignment): void {
    const { advertisedUrl } = this.#options;
    const known = members.find((member) => member.workerId === this.workerId);
    if (known === undefined || known.url === advertisedUrl || this.#announcedUrl === advertisedUrl) return;
    this.#announcedUrl = advertisedUrl;
    this.#requireGroup().rejoin();
  }

  /** The membership is gone and others may own the tasks: nothing is committed. */
  async #onLost(error: Error): Promise<void> {
    this.#logger.warn({ err: error }, "lost the group membership: dropping all tasks without a commit");
    this.#processing.wake();
    await this.#mutex.run(async () => {
      if (!this.#isLive) return;
      this.#status.to("REBALANCING");
      this.#rebalancing = true;
      await this.#committer.settled();
      await this.#dropTasks();
    });
  }

  /** A commit that failed is cleared up by the loop's next turn, which may take as long as the log is away. */
  async #dropTasks(): Promise<void> {
    this.#collector.discard();
    await this.#tasks.closeAll(true);
    this.#processing.assign();
  }

  async #onTaskReady(task: Task): Promise<void> {
    this.#processing.wake();
    await this.#mutex.run(async () => {
      if (!this.#isLive) return;
      if (!this.#rebalancing) task.resume();
      this.#processing.assign();
      this.#runningIfReady();
    });
  }

  #runningIfReady(): void {
    if (this.state === "REBALANCING" && this.#tasks.allRunning) this.#status.to("RUNNING");
  }

  /** Transactions of this application whose worker is no longer a member (design, section 5: take-over fences first). */
  #fenceDeadWorkers(): Promise<void> {
    return (this.#fencing ??= this.#fenceOnce().finally(() => (this.#fencing = undefined)));
  }

  async #fenceOnce(): Promise<void> {
    if (this.#sink.transactionalId === undefined) return;
    const live = new Set(this.#tasks.members.map((member) => member.transactionalId));
    for (const transactionalId of await this.#log.admin.openTransactions(`${this.#options.applicationId}/`)) {
      if (live.has(transactionalId)) continue;
      this.#logger.warn({ transactionalId }, "fencing a dead worker's open transaction");
      await this.#log.admin.fence(transactionalId);
    }
  }

  #requireGroup(): GroupMember {
    if (this.#group === undefined) throw new RuntimeError("not-running", "the worker has not been started");
    return this.#group;
  }

  #fail(error: unknown): void {
    if (this.state === "ERROR" || this.state === "NOT_RUNNING" || this.state === "PENDING_SHUTDOWN") return;
    this.#logger.error({ err: error }, "worker failed");
    this.#status.to("ERROR");
    this.#finished.reject(error instanceof Error ? error : new Error(String(error)));
    this.#processing.wake();
  }
}

/** Kafka aborts a transaction nobody ends after this; take-over does not wait for it. */
const TRANSACTION_TIMEOUT_MS = 60_000;
/** How long the group waits for a member that is committing before a rebalance. */
const REBALANCE_TIMEOUT_MS = 60_000;

function topologyTopics(topology: Topology): string[] {
  return topology.subtopologies.flatMap((subtopology) => [...subtopology.sources, ...subtopology.sinks].map((node) => node.topic));
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
