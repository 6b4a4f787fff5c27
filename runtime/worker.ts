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
import type { EventLog, LogReader } from "../eventlog/port.ts";
import { changelogTopic } from "../state/changelog.ts";
import type { Topology } from "../topology/topology.ts";
import { ApplicationShutdown } from "./application-shutdown.ts";
import { Committer } from "./committer.ts";
import { deadLetterOptions } from "./dead-letters.ts";
import { DeadWorkerFence } from "./dead-worker-fence.ts";
import { messageOf, RuntimeError } from "./errors.ts";
import { TopicFeed } from "./feed.ts";
import { changelogTopics, createInternalTopics } from "./internal-topics.ts";
import { AtLeastOnceSink, ExactlyOnceSink, type LogSink } from "./log-sink.ts";
import { Membership } from "./membership.ts";
import { memoryBudget, restoredRowBytes } from "./memory-budget.ts";
import { Mutex } from "./mutex.ts";
import { OffsetReset } from "./offset-reset.ts";
import { Outage } from "./outage.ts";
import { OutputCollector } from "./output-collector.ts";
import { PartitionCounts } from "./partition-counts.ts";
import type { Feed, Queries, WorkerInfo } from "./queries.ts";
import { Recovery } from "./recovery.ts";
import { ACCEPTABLE_LAG } from "./placement.ts";
import { ProcessingLoop } from "./processing-loop.ts";
import { RepartitionPurger } from "./repartition-purger.ts";
import { Restorer } from "./restorer.ts";
import { SourceWatch } from "./source-watch.ts";
import { StandbyTasks } from "./standby-tasks.ts";
import { StateCleaner } from "./state-cleaner.ts";
import { StateMachine } from "./state-machine.ts";
import type { Task } from "./task.ts";
import { TaskDirectories } from "./task-directories.ts";
import { TaskManager } from "./task-manager.ts";
import { TaskOpener } from "./task-opener.ts";
import { Troubles, troubleSources } from "./troubles.ts";
import type { WorkerOptions } from "./worker-options.ts";
import { WorkerMetrics } from "./worker-metrics.ts";
import { WorkerQueries } from "./worker-queries.ts";

/** As Kafka Streams' task.timeout.ms: a broker restart, an election or a deployment is over by then. */
const RECOVERY_TIMEOUT_MS = 300_000;
/** Kafka aborts a transaction nobody ends after this; take-over does not wait for it. */
const TRANSACTION_TIMEOUT_MS = 60_000;

type WorkerState = WorkerInfo["state"];

export class Worker {
  readonly workerId: string;
  readonly queries: Queries;
  readonly feed: Feed;
  readonly registry: Registry;
  readonly #options: WorkerOptions;
  readonly #log: EventLog;
  /** With the application's names. */
  readonly #topology: Topology;
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
  readonly #collector: OutputCollector;
  readonly #partitions: PartitionCounts;
  readonly #restorer: Restorer;
  readonly #standbys: StandbyTasks;
  readonly #tasks: TaskManager;
  readonly #sink: LogSink;
  readonly #committer: Committer;
  readonly #processing: ProcessingLoop;
  readonly #reader: LogReader;
  readonly #metrics: WorkerMetrics;
  readonly #feed: TopicFeed;
  readonly #cleaner: StateCleaner;
  readonly #finished = Promise.withResolvers<void>();
  readonly #shutdown = new ApplicationShutdown();
  readonly #outage: Outage;
  readonly #stopRequested = new AbortController();
  readonly #membership: Membership;
  readonly #recovery: Recovery;
  readonly #troubles: Troubles;
  readonly #sourceWatch: SourceWatch;
  #loop: Promise<void> | undefined;
  #stopping: Promise<void> | undefined;

  constructor(options: WorkerOptions) {
    this.#options = options;
    this.#log = options.log;
    this.#topology = options.topology.forApplication(options.applicationId);
    this.workerId = options.instanceId ?? `${hostname()}-${randomUUID().slice(0, 8)}`;
    this.#logger = options.logger.child({ workerId: this.workerId });
    this.registry = options.registry ?? new Registry();
    const memory = memoryBudget(options.state.cacheMiB, options.processing.memoryMiB);
    const exactlyOnce = options.processing.guarantee === "exactly-once";
    const changelogOf = (store: string): string => changelogTopic(options.applicationId, store);
    this.#metrics = new WorkerMetrics(this.registry, {
      running: () => this.state === "RUNNING",
      tasks: () => this.#tasks.tasks,
      restoring: (task) => this.#restorer.progress(task),
      standbys: () => this.#standbys,
    });
    const recoveryTimeoutMs = options.processing.recoveryTimeoutMs ?? RECOVERY_TIMEOUT_MS;
    this.#outage = new Outage(recoveryTimeoutMs);
    this.#partitions = new PartitionCounts(this.#log);
    this.#collector = new OutputCollector((topic) => this.#partitions.maxBatchBytesOf(topic));
    this.#reader = this.#log.reader({
      isolation: "read_committed",
      maxBufferedBytes: memory.fetchBytes,
      maxBatchBytes: memory.batchBytes,
    });
    const transactions = { transactionalId: `${options.applicationId}/${this.workerId}`, timeoutMs: TRANSACTION_TIMEOUT_MS };
    this.#sink = exactlyOnce
      ? new ExactlyOnceSink(this.#log.txnWriter(transactions), options.applicationId)
      : new AtLeastOnceSink(this.#log.plainWriter({}));
    const isolation = exactlyOnce ? "read_committed" : "read_uncommitted";
    this.#restorer = new Restorer({
      log: this.#log,
      isolation,
      changelogOf,
      logger: this.#logger,
      onRestored: (records) => this.#metrics.restored(records),
      maxFetchedBytes: memory.restoreBytes,
      maxRowBytes: () => restoredRowBytes(memory, this.#tasks.uncheckpointedBytes),
    });
    const directories = new TaskDirectories(options.state.dir, options.applicationId, options.state.engine);
    const fence = new DeadWorkerFence(this.#log.admin, options.applicationId, this.#logger);
    const opener = new TaskOpener({
      log: this.#log,
      applicationId: options.applicationId,
      directories,
      engine: options.state.engine,
      cacheBytesPerTask: () => Math.floor((options.state.cacheMiB * 1024 * 1024) / Math.max(1, this.#tasks.taskIds.length)),
      restorer: this.#restorer,
      logger: this.#logger,
      fenceDead: () => (exactlyOnce ? fence.run(this.#tasks.members) : Promise.resolve()),
    });
    const acceptableLag = options.processing.acceptableRecoveryLag ?? ACCEPTABLE_LAG;
    this.#standbys = new StandbyTasks({
      log: this.#log,
      isolation,
      changelogOf,
      storesOf: (subtopology) => this.#topology.subtopologies[subtopology]?.stores,
      opener,
      directories,
      acceptableLag,
      maxFetchedBytes: memory.standbyFetchBytes,
      maxUnflushedBytes: memory.standbyRowBytes,
      logger: this.#logger,
      onWarm: (taskId) => this.#membership.warm(taskId),
      onReplayed: (records) => this.#metrics.replayed(records),
    });
    this.#tasks = new TaskManager({
      topology: this.#topology,
      collector: this.#collector,
      opener,
      directories,
      standbys: this.#standbys,
      restorer: this.#restorer,
      changelogOf,
      deadLetters: deadLetterOptions(options, this.#partitions),
      topics: this.#partitions,
      logger: this.#logger,
      onReady: (task) => void this.#onTaskReady(task).catch((error: unknown) => this.#fail(error)),
      onFailed: (taskId, error) =>
        this.#fail(new RuntimeError("task-not-ready", `task ${taskId} cannot start: ${messageOf(error)}`, error)),
    });
    const { repartitionPurgeIntervalMs } = options.processing;
    const purger = new RepartitionPurger(this.#log.admin, this.#topology, this.#logger, repartitionPurgeIntervalMs);
    this.#committer = new Committer({
      sink: this.#sink,
      collector: this.#collector,
      group: () => this.#membership.group,
      changelogOf,
      commitIntervalMs: options.processing.commitIntervalMs,
      memory,
      metrics: this.#metrics,
      onCommitted: (commits) => {
        const attempts = this.#outage.over();
        if (attempts > 0) this.#logger.info({ attempts }, "commits go through again");
        purger.committed(commits);
      },
      onSettled: () => this.#processing.wake(),
    });
    this.#processing = new ProcessingLoop(this.#reader, this.#tasks, this.#committer, {
      checkpointIntervalMs: options.processing.checkpointIntervalMs ?? 5_000,
      directories,
      maxUncheckpointedBytes: memory.uncheckpointedBytes,
      offsetReset: new OffsetReset(this.#log.admin, options.processing.offsetReset ?? "earliest", this.#logger),
      metrics: this.#metrics,
      logger: this.#logger,
    });
    this.#membership = new Membership({
      worker: options,
      workerId: this.workerId,
      transactionalId: this.#sink.transactionalId,
      log: this.#log,
      topology: this.#topology,
      tasks: this.#tasks,
      standbys: this.#standbys,
      directories,
      acceptableLag,
      processing: this.#processing,
      committer: this.#committer,
      mutex: this.#mutex,
      logger: this.#logger,
      isLive: () => this.#isLive,
      onTasksChanged: () => this.#followTasks(),
      onRebalanced: () => this.#metrics.rebalanced(),
      shutdown: this.#shutdown,
      onShutdown: (request) =>
        this.#fail(new RuntimeError("application-shut-down", `asked to stop with all workers of the application: ${request}`)),
      onFatal: (error) => this.#fail(error),
    });
    const stores = this.#topology.subtopologies.flatMap((subtopology) => subtopology.stores.map(({ name }) => name));
    this.#recovery = new Recovery({
      sink: this.#sink,
      committer: this.#committer,
      collector: this.#collector,
      tasks: this.#tasks,
      processing: this.#processing,
      membership: this.#membership,
      topics: this.#partitions,
      outage: this.#outage,
      deadLetterTopic: options.deadLetterTopic,
      storeOf: (topic) => stores.find((store) => changelogOf(store) === topic),
      metrics: this.#metrics,
      logger: this.#logger,
    });
    this.#troubles = new Troubles({
      sources: troubleSources(this.#membership, this.#processing, this.#tasks, this.#restorer, this.#committer),
      timeoutMs: recoveryTimeoutMs,
      logger: this.#logger,
      onGivenUp: (error) => this.#fail(error),
    });
    this.#sourceWatch = new SourceWatch({
      admin: this.#log.admin,
      topology: this.#topology,
      topics: this.#partitions,
      intervalMs: options.processing.sourceCheckIntervalMs,
      logger: this.#logger,
      onGrown: () => this.#membership.group.rejoin(),
      onMismatch: (error) => this.#fail(error),
    });
    const isAssigned = (taskId: string): boolean => this.#tasks.taskIds.includes(taskId) || this.#standbys.taskIds.includes(taskId);
    this.#cleaner = new StateCleaner(directories, isAssigned, this.#logger);
    this.feed = this.#feed = new TopicFeed(this.#log, this.#logger);
    this.queries = new WorkerQueries({
      workerId: this.workerId,
      topology: this.#topology,
      tasks: this.#tasks,
      standbys: this.#standbys,
      restorer: this.#restorer,
      state: () => this.#status.state,
      partitionsOf: (topic) => this.#partitions.ifKnown(topic),
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
    const { applicationId, deadLetterTopic } = this.#options;
    this.#finished.promise.catch(() => undefined); // whoever cares awaits `finished`
    this.#status.to("REBALANCING");
    await createInternalTopics(this.#topology, this.#log, applicationId);
    await this.#partitions.load(this.#topology, deadLetterTopic, changelogTopics(this.#topology, applicationId));
    await this.#sink.open();
    this.#cleaner.start();
    this.#troubles.start();
    this.#sourceWatch.start();
    this.#loop = this.#run().catch((error: unknown) => this.#fail(error));
    await Promise.race([this.#membership.start(), this.#finished.promise]); // a join that is given up rejects here
  }

  /** Finishes what is in hand, commits, checkpoints, leaves. Safe to call at any time and more than once. */
  stop(): Promise<void> {
    return (this.#stopping ??= this.#stop());
  }

  /**
   * Every worker of the application stops with `application-shut-down`, for a failure that none of them would survive; this one too,
   * unless it has failed already. Resolves when the group has been told, or could not be. A worker that joins later is not concerned.
   */
  async shutDownApplication(reason: string): Promise<void> {
    this.#logger.warn({ reason }, "asking all workers of the application to stop");
    const told = await this.#shutdown.ask(this.workerId, reason, () => this.#membership.startOver());
    if (!told) this.#logger.error("could not tell the other workers to stop: they may go on");
  }

  async #stop(): Promise<void> {
    this.#shutdown.cancel();
    this.#stopRequested.abort();
    this.#troubles.stop();
    const failed = this.state === "ERROR";
    this.#status.to("PENDING_SHUTDOWN");
    this.#processing.wake();
    await this.#loop;
    this.#processing.ended();
    try {
      const commit = (): Promise<void> => (failed ? Promise.resolve() : this.#processing.commitAll());
      await this.#mutex.run(() => commit().finally(() => this.#tasks.closeAll()));
    } catch (error) {
      this.#logger.error({ err: error }, "could not commit or checkpoint while stopping: the next start replays it");
    }
    await this.#membership.leave();
    await Promise.allSettled(
      [this.#cleaner, this.#sourceWatch, this.#standbys, this.#restorer, this.#feed, this.#sink, this.#reader].map((part) => part.close()),
    );
    this.#metrics.close();
    this.#status.to("NOT_RUNNING");
    this.#finished.resolve();
  }

  /** Until resume() nothing is fetched, processed or timed; the worker stays in its group, keeps its tasks and answers queries. Also before start(). */
  pause(): void {
    this.#processing.pause();
  }

  resume(): void {
    this.#processing.resume();
  }

  get paused(): boolean {
    return this.#processing.paused;
  }

  // The loop

  async #run(): Promise<void> {
    while (this.#isLive) {
      if (this.#committer.failure !== undefined) await this.#outage.wait(this.#stopRequested.signal);
      await this.#mutex.run(() => this.#turn());
      await yieldToEventLoop();
    }
  }

  get #isLive(): boolean {
    return this.state === "REBALANCING" || this.state === "RUNNING";
  }

  /** One turn of the loop, or an attempt to come back after a failed commit. */
  async #turn(): Promise<void> {
    if (!this.#isLive) return;
    const { failure } = this.#committer;
    if (failure === undefined) return this.#processing.turn();
    await this.#recovery.attempt(failure);
    this.#followTasks();
  }

  async #onTaskReady(task: Task): Promise<void> {
    this.#processing.wake();
    await this.#mutex.run(async () => {
      if (!this.#isLive) return;
      this.#tasks.resume(task);
      this.#processing.assign();
      this.#followTasks();
    });
  }

  /** REBALANCING until every task of the group has a worker and those of this one run; they run on meanwhile. */
  #followTasks(): void {
    if (this.#isLive) this.#status.to(this.#membership.isSettled && this.#tasks.allRunning ? "RUNNING" : "REBALANCING");
  }

  #fail(error: unknown): void {
    if (this.state === "ERROR" || this.state === "NOT_RUNNING" || this.state === "PENDING_SHUTDOWN") return;
    this.#logger.error({ err: error }, "worker failed");
    this.#troubles.stop();
    this.#status.to("ERROR");
    this.#finished.reject(error instanceof Error ? error : new Error(String(error)));
    this.#processing.wake();
  }
}
