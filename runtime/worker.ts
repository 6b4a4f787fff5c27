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
import { decodeAssignment, encodeSubscription, stickyAssignor } from "./assignor.ts";
import { Checkpointer } from "./checkpointer.ts";
import { Committer } from "./committer.ts";
import { RuntimeError } from "./errors.ts";
import { TopicFeed } from "./feed.ts";
import { createChangelogs, listTasks } from "./internal-topics.ts";
import { AtLeastOnceSink, ExactlyOnceSink, type LogSink } from "./log-sink.ts";
import { Mutex } from "./mutex.ts";
import { OutputCollector } from "./output-collector.ts";
import { PartitionCounts } from "./partition-counts.ts";
import type { Feed, Queries, WorkerInfo } from "./queries.ts";
import { Restorer } from "./restorer.ts";
import { StateMachine } from "./state-machine.ts";
import { listStateDirectories } from "./state-directories.ts";
import type { Task } from "./task.ts";
import { TaskManager } from "./task-manager.ts";
import { TaskOpener } from "./task-opener.ts";
import { WorkerMetrics } from "./worker-metrics.ts";
import { WorkerQueries } from "./worker-queries.ts";

/** The longest synchronous slice: between two of them heartbeats, HTTP and sockets are served (design, section 4). */
const SLICE_MS = 10;
/** Fetched and unprocessed bytes below which the next fetch is asked for. */
const LOW_WATER_BYTES = 2 * 1024 * 1024;
/** The longest wait for records; everything that cannot wait wakes the reader. */
const IDLE_WAIT_MS = 1_000;
/** Between attempts to get the writer back after a failed commit. */
const RECOVERY_RETRY_MS = 200;

export interface WorkerOptions {
  /** Consumer group; prefix of changelogs and transactional ids. */
  readonly applicationId: string;
  /** Static membership and a stable transactional id: a restart takes its tasks back at once. */
  readonly instanceId?: string;
  readonly topology: Topology;
  readonly log: EventLog;
  readonly state: { readonly dir: string; readonly engine: "level" | "memory"; readonly cacheMiB: number };
  readonly processing: {
    readonly guarantee: "exactly-once" | "at-least-once";
    readonly commitIntervalMs: number;
    /** Committed rows reach the state engine this often. Default 5000. */
    readonly checkpointIntervalMs?: number;
  };
  readonly sessionTimeoutMs: number;
  /** Where records go that cannot be processed; without one they stop the worker. */
  readonly deadLetterTopic?: string;
  /** A longer value is cut in the dead-letter topic. Default 1,000,000. */
  readonly maxDeadLetterBytes?: number;
  /** Where other workers reach this one's HTTP API. */
  readonly advertisedUrl?: string;
  readonly logger: Logger;
  readonly registry?: Registry;
}

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
  readonly #checkpointer: Checkpointer;
  readonly #reader: LogReader;
  readonly #metrics: WorkerMetrics;
  readonly #feed: TopicFeed;
  readonly #finished = Promise.withResolvers<void>();
  #group: GroupMember | undefined;
  #loop: Promise<void> | undefined;
  #stopping: Promise<void> | undefined;
  #nextTask = 0;
  /** Between onRevoked and onAssigned: nothing is processed, since a commit would carry a generation that is going. */
  #rebalancing = false;
  /** Ends the loop's wait: set before the reader is woken, so that a wake-up between two polls is not lost. */
  #woken = false;
  #fencing: Promise<void> | undefined;

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
      lag: () => this.queries.worker().tasks.reduce((lag, task) => lag + task.inputs.reduce((sum, input) => sum + input.lag, 0), 0),
      uncheckpointedBytes: () => this.#tasks.tasks.reduce((bytes, task) => bytes + task.state.uncheckpointedBytes, 0),
    });
    this.#partitions = new PartitionCounts(this.#log);
    this.#reader = this.#log.reader({ isolation: "read_committed" });
    this.#sink = exactlyOnce
      ? new ExactlyOnceSink(this.#log.txnWriter({ transactionalId: `${options.applicationId}/${this.workerId}`, timeoutMs: TRANSACTION_TIMEOUT_MS }))
      : new AtLeastOnceSink(this.#log.plainWriter({}));
    this.#restorer = new Restorer(this.#log, exactlyOnce ? "read_committed" : "read_uncommitted", changelogOf, (records) => this.#metrics.restored(records));
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
      log: this.#log,
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
      onReady: (task) => this.#onTaskReady(task),
      onFailed: (taskId, error) => this.#fail(new RuntimeError("task-not-ready", `task ${taskId} cannot start: ${messageOf(error)}`, error)),
    });
    const partitionsOf = (topic: string): number => this.#partitions.of(topic);
    this.#committer = new Committer({
      sink: this.#sink,
      collector: this.#collector,
      group: () => this.#requireGroup(),
      changelogOf,
      commitIntervalMs: options.processing.commitIntervalMs,
      metrics: this.#metrics,
      onSettled: () => this.#wake(),
    });
    this.#checkpointer = new Checkpointer(options.processing.checkpointIntervalMs ?? 5_000);
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
    this.#wake();
    await this.#loop;
    try {
      await this.#mutex.run(async () => {
        if (!failed) await this.#commitAll();
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

  /** Fetch if little is left, process one slice, commit if one is due. */
  async #turn(): Promise<void> {
    if (!this.#isLive) return;
    if (this.#committer.failure !== undefined) return this.#recover();
    const running = this.#tasks.running;
    const backlog = await this.#fetch(running);
    if (this.#committer.isFull && this.#committer.busy) return this.#committer.settled();
    this.#process(running);
    for (const task of running) task.punctuateWallClock(Date.now());
    if (!this.#committer.busy && this.#committer.dueInMs(running, backlog, performance.now()) === 0) this.#committer.begin(running);
    this.#checkpointer.tick(running, this.#logger);
  }

  /** Returns whether more is waiting than one slice can take. */
  async #fetch(running: readonly Task[]): Promise<boolean> {
    let buffered = 0;
    for (const task of running) buffered += task.bufferedBytes;
    if (buffered < LOW_WATER_BYTES) {
      const batches = await this.#reader.poll(buffered > 0 ? 0 : this.#idleWaitMs(running));
      const prepared: Promise<void>[] = [];
      for (const batch of batches) {
        const task = running.find((candidate) => candidate.partition === batch.partition && candidate.reads(batch.topic));
        const promise = task?.add(batch);
        if (promise !== undefined) prepared.push(promise);
      }
      if (prepared.length > 0) await Promise.all(prepared);
    }
    return buffered > 0;
  }

  #idleWaitMs(running: readonly Task[]): number {
    let wait = this.#woken ? 0 : IDLE_WAIT_MS;
    this.#woken = false;
    if (!this.#committer.busy) wait = Math.min(wait, this.#committer.dueInMs(running, false, performance.now()));
    for (const task of running) wait = Math.min(wait, task.nextWallClockAt - Date.now());
    return Math.max(0, wait);
  }

  /** Tasks take turns: the one after the last to be cut short begins. */
  #process(running: readonly Task[]): void {
    const deadline = performance.now() + SLICE_MS;
    for (let i = 0; i < running.length; i++) {
      const task = running[this.#nextTask % running.length];
      this.#nextTask = (this.#nextTask + 1) % running.length;
      task.process(deadline);
      if (performance.now() >= deadline) return;
    }
  }

  async #commitAll(): Promise<void> {
    await this.#committer.settled();
    if (this.#committer.failure !== undefined) throw this.#committer.failure;
    const running = this.#tasks.tasks.filter((task) => task.status === "running" || task.status === "suspended");
    if (this.#committer.dueInMs(running, false, Infinity) === Infinity) return;
    this.#committer.begin(running);
    await this.#committer.settled();
    if (this.#committer.failure !== undefined) throw this.#committer.failure;
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
    if (isFenced) this.#requireGroup().rejoin();
    else await this.#tasks.reopenAll(this.#requireGroup());
    this.#assignReader();
  }

  // The group

  /** Commit first, then give up: nobody else may start before this resolves. */
  async #onRevoked(): Promise<void> {
    this.#wake();
    await this.#mutex.run(async () => {
      if (!this.#isLive) return;
      this.#status.to("REBALANCING");
      this.#rebalancing = true;
      try {
        await this.#commitAll();
        this.#tasks.suspend();
      } catch (error) {
        this.#logger.warn({ err: error }, "commit before a rebalance failed: tasks will start again from the last commit");
        await this.#dropTasks();
      }
    });
  }

  async #onAssigned(bytes: Buffer): Promise<void> {
    this.#wake();
    await this.#mutex.run(async () => {
      if (!this.#isLive) return;
      this.#rebalancing = false;
      this.#metrics.rebalanced();
      const assignment = decodeAssignment(bytes);
      this.#logger.info({ tasks: assignment.tasks, members: assignment.members.length }, "assigned");
      await this.#tasks.apply(assignment, this.#requireGroup());
      this.#assignReader();
      this.#runningIfReady();
    });
  }

  /** The membership is gone and others may own the tasks: nothing is committed. */
  async #onLost(error: Error): Promise<void> {
    this.#logger.warn({ err: error }, "lost the group membership: dropping all tasks without a commit");
    this.#wake();
    await this.#mutex.run(async () => {
      if (!this.#isLive) return;
      this.#status.to("REBALANCING");
      this.#rebalancing = true;
      await this.#committer.settled();
      await this.#dropTasks();
    });
  }

  async #dropTasks(): Promise<void> {
    this.#collector.discard();
    await this.#tasks.closeAll(true);
    this.#assignReader();
    if (this.#committer.failure === undefined) return;
    await this.#sink.recover();
    this.#committer.clearFailure();
  }

  async #onTaskReady(task: Task): Promise<void> {
    this.#wake();
    await this.#mutex.run(async () => {
      if (!this.#isLive) return;
      this.#logger.info({ taskId: task.taskId, positions: task.queues.map((queue) => queue.position) }, "task is ready");
      if (!this.#rebalancing) task.resume();
      this.#assignReader();
      this.#runningIfReady();
    });
  }

  #assignReader(): void {
    this.#reader.assign(
      this.#tasks.running.flatMap((task) => task.queues.map((queue) => ({ topic: queue.topic, partition: queue.partition, offset: queue.fetchPosition }))),
    );
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

  #wake(): void {
    this.#woken = true;
    this.#reader.wakeup();
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
    this.#wake();
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
