/**
 * One sub-topology on one partition: its queues, clocks, stores and processors. Synchronous per record; knows nothing
 * of the log it reads or of commits under way, so the test driver runs the very same class.
 *
 *     created -> restoring -> suspended <-> running
 *        |           |            |            |
 *        '-----------'------------'------------'--> closed
 */
import type { FetchedBatch } from "../eventlog/port.ts";
import type { StoreSpec } from "../state/store.ts";
import type { FrozenRows } from "../state/frozen-rows.ts";
import type { TaskState } from "../state/task-state.ts";
import type { Subtopology } from "../topology/graph.ts";
import type { Punctuation, PunctuationClock } from "../topology/processor.ts";
import { BackgroundWork } from "./background-work.ts";
import { RECORD_TOO_LARGE, type DeadLetters, type RefusedRecord } from "./dead-letters.ts";
import { RuntimeError } from "./errors.ts";
import type { Prefetch } from "./key-lookahead.ts";
import type { OutputCollector } from "./output-collector.ts";
import type { RecordLimit } from "./partition-counts.ts";
import { Punctuators } from "./punctuators.ts";
import type { TaskStatus } from "./queries.ts";
import { ReadAheadPacer } from "./read-ahead-pacer.ts";
import { RecordQueue } from "./record-queue.ts";
import { RunningGraph } from "./running-graph.ts";
import { SourceCursor } from "./source-cursor.ts";
import { StateMachine } from "./state-machine.ts";
import type { TaskServices } from "./task-context.ts";

const COUNTER_OF = { "dead-letter": "dead_letters", continue: "dropped" } as const;

export interface TaskOptions {
  readonly taskId: string;
  readonly partition: number;
  readonly subtopology: Subtopology;
  readonly state: TaskState;
  readonly collector: OutputCollector;
  readonly partitionsOf: (topic: string) => number;
  /** Without it no record is too large. */
  readonly recordLimitOf?: (topic: string) => RecordLimit;
  /** Changelog topic of a store. */
  readonly changelogOf: (storeName: string) => string;
  readonly deadLetters: DeadLetters;
  readonly now: () => number;
}

/** What one commit takes from a task. */
export interface TaskCommit {
  readonly task: Task;
  readonly frozen: FrozenRows;
  readonly positions: readonly { topic: string; partition: number; offset: number }[];
  readonly streamTime: number;
  readonly receiveTime: number;
  readonly counts: ReadonlyMap<string, number>;
  readonly records: number;
  /** Of the first of these records; epoch ms. */
  readonly firstTimestamp: number;
  /** Timer callbacks, and the time they took. */
  readonly punctuations: number;
  readonly punctuateMs: number;
}

export class Task implements TaskServices {
  readonly taskId: string;
  readonly partition: number;
  readonly source = new SourceCursor();
  readonly state: TaskState;
  readonly queues: readonly RecordQueue[];
  readonly #status = new StateMachine<TaskStatus>("task", "created", {
    created: ["restoring", "closed"],
    restoring: ["suspended", "closed"],
    running: ["suspended", "closed"],
    suspended: ["running", "closed"],
    closed: [],
  });
  readonly #options: TaskOptions;
  readonly #readsAhead: boolean;
  readonly #pacer = new ReadAheadPacer();
  readonly #punctuators = new Punctuators();
  readonly #background = new BackgroundWork();
  readonly #graph: RunningGraph;
  readonly #readAhead = (key: unknown): void => this.#graph.readAhead(key);
  readonly #prefetch: Prefetch = (sourceKeys, count) => this.#graph.prefetch(sourceKeys, count);
  /** Next changelog offset of each store, as far as this worker has committed. */
  readonly changelogPositions = new Map<string, number>();
  streamTime = -1;
  receiveTime = -1;
  #counts = new Map<string, number>();
  #recordsSinceCommit = 0;
  #firstTimestamp = -1;
  #punctuations = 0;
  #punctuateMs = 0;
  #committedPositions = new Map<RecordQueue, number>();

  constructor(options: TaskOptions) {
    this.#options = options;
    this.taskId = options.taskId;
    this.partition = options.partition;
    this.state = options.state;
    this.queues = options.subtopology.sources.map((source) => new RecordQueue(source, options.partition));
    this.#graph = new RunningGraph(options.subtopology, this, options.collector, options.partitionsOf);
    this.#readsAhead = this.#graph.readsAhead && options.state.canReadAhead;
  }

  get status(): TaskStatus {
    return this.#status.state;
  }

  /** Restored and not closed: fed now, or held back. */
  get isUp(): boolean {
    return this.status === "running" || this.status === "suspended";
  }

  get stores(): readonly StoreSpec<unknown>[] {
    return this.#options.subtopology.stores;
  }

  restoring(): void {
    this.#status.to("restoring");
  }

  /** Stores are restored: processors open, and begin to build their indexes. The task is then suspended until the worker resumes it. */
  async ready(committed: readonly { topic: string; offset: number; streamTime: number; receiveTime: number }[]): Promise<void> {
    for (const queue of this.queues) {
      const from = committed.find((entry) => entry.topic === queue.topic);
      if (from === undefined) throw new RuntimeError("task-not-ready", `task ${this.taskId} has no start position for ${queue.topic}`);
      queue.position = from.offset;
      this.#committedPositions.set(queue, from.offset);
      this.streamTime = Math.max(this.streamTime, from.streamTime);
      this.receiveTime = Math.max(this.receiveTime, from.receiveTime);
    }
    await this.#graph.open();
    this.#status.to("suspended");
  }

  suspend(): void {
    if (this.status === "running") this.#status.to("suspended");
  }

  resume(): void {
    if (this.status === "suspended") this.#status.to("running");
  }

  async close(): Promise<void> {
    if (this.status === "closed") return;
    const wasOpen = this.isUp;
    this.#status.to("closed");
    if (wasOpen) this.#graph.close();
    this.#background.close();
    await this.state.close();
    await this.#background.settled();
  }

  /** Returns the source's prepare() promise, if the batch needs something first. */
  add(batch: FetchedBatch): Promise<void> | undefined {
    const queue = this.queues.find((candidate) => candidate.topic === batch.topic);
    if (queue === undefined || this.status !== "running" || batch.nextOffset <= queue.fetchPosition) return undefined;
    const prepared = batch.records.count > 0 ? queue.source.prepare?.(batch.records) : undefined;
    queue.push(batch);
    return prepared;
  }

  reads(topic: string): boolean {
    for (const queue of this.queues) if (queue.topic === topic) return true;
    return false;
  }

  get bufferedBytes(): number {
    return this.queues.reduce((bytes, queue) => bytes + queue.bufferedBytes, 0);
  }

  /** Records between position and end of the source partitions, as of the last fetch. */
  get lag(): number {
    let lag = 0;
    for (const queue of this.queues) lag += Math.max(0, queue.endOffset - queue.position);
    return lag;
  }

  /** Processes until the deadline (performance.now()) or the queues are empty; returns the number of records. */
  process(deadline: number): number {
    let processed = 0;
    this.#background.throwIfFailed();
    if (this.#readsAhead) this.#pacer.tick(this.queues, this.state, this.#readAhead);
    let unchecked = 0;
    if (this.#recordsSinceCommit === 0) this.#firstTimestamp = this.#nextQueue()?.headTimestamp ?? -1;
    for (let queue = this.#nextQueue(); queue !== undefined; queue = this.#nextQueue()) {
      if (unchecked === 0) unchecked = queue.recordsPerClockCheck;
      this.#processHead(queue);
      processed++;
      if (--unchecked === 0 && performance.now() >= deadline) break;
    }
    this.#recordsSinceCommit += processed;
    return processed;
  }

  /** What processors began in the background is done, or has failed. */
  settled(): Promise<void> {
    return this.#background.settled();
  }

  /** Runs wall-clock punctuators that are due. */
  punctuateWallClock(now: number): void {
    if (this.status === "running" && this.#punctuators.isDue("wall-clock", now)) this.#punctuate("wall-clock", now);
  }

  get nextWallClockAt(): number {
    return this.#punctuators.nextWallClockAt;
  }

  /** Something a commit should carry, apart from positions that only moved past control batches. */
  get needsCommit(): boolean {
    return this.#recordsSinceCommit > 0 || this.#punctuations > 0;
  }

  get positionMoved(): boolean {
    return this.queues.some((queue) => queue.position > (this.#committedPositions.get(queue) ?? -1));
  }

  /** Step 1 of the commit: coalesced output forwarded, dirty rows encoded into the changelog batches, positions taken. */
  freeze(): TaskCommit {
    this.#graph.flush();
    const { collector, changelogOf } = this.#options;
    const now = this.#options.now();
    const { partition } = this;
    const changelogs = this.state.storeNames.map((store) => collector.set.partition(changelogOf(store), partition));
    const frozen = this.state.freeze((storeIndex, bytes, keyStart, keyEnd, valueStart, valueEnd) => {
      changelogs[storeIndex].append(now, bytes, keyStart, keyEnd, valueStart < 0 ? null : bytes, valueStart, valueEnd);
    });
    const positions = this.queues.map((queue) => ({ topic: queue.topic, partition, offset: queue.position }));
    for (const queue of this.queues) this.#committedPositions.set(queue, queue.position);
    const commit: TaskCommit = {
      task: this,
      frozen,
      positions,
      streamTime: this.streamTime,
      receiveTime: this.receiveTime,
      counts: this.#counts,
      records: this.#recordsSinceCommit,
      firstTimestamp: this.#firstTimestamp,
      punctuations: this.#punctuations,
      punctuateMs: this.#punctuateMs,
    };
    this.#counts = new Map();
    this.#recordsSinceCommit = 0;
    this.#punctuations = 0;
    this.#punctuateMs = 0;
    return commit;
  }

  edgeCounts(): { from: string; to: string; records: number }[] {
    return this.#graph.edgeCounts();
  }

  // TaskServices, for the contexts of this task's processors

  store<S>(spec: StoreSpec<S>): S {
    return this.state.store(spec);
  }

  schedule(intervalMs: number, clock: PunctuationClock, callback: (now: number) => void): Punctuation {
    const now = clock === "wall-clock" ? this.#options.now() : clock === "stream-time" ? this.streamTime : this.receiveTime;
    return this.#punctuators.schedule(intervalMs, clock, now, callback);
  }

  inBackground(work: () => Promise<void>): void {
    this.#background.run(work);
  }

  deadLetter(reason: string, message: string, stage: string): void {
    this.#options.deadLetters.send(this.source, reason, message, stage);
    this.count("dead_letters", reason, 1);
  }

  recordLimitOf(topic: string): RecordLimit {
    return this.#options.recordLimitOf?.(topic) ?? { bytes: Infinity, isTight: false };
  }

  onProductionError(record: RefusedRecord, stage: string): void {
    this.count(COUNTER_OF[this.#options.deadLetters.onProductionError(this.source, record, stage)], RECORD_TOO_LARGE, 1);
  }

  count(name: string, reason: string, by: number): void {
    const key = `${name}|${reason}`;
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + by);
  }

  /** With several sources, the one whose head is oldest goes first. */
  #nextQueue(): RecordQueue | undefined {
    const { queues } = this;
    if (queues.length === 1) return queues[0].isEmpty ? undefined : queues[0];
    let next: RecordQueue | undefined;
    for (const queue of queues) if (!queue.isEmpty && (next === undefined || queue.headTimestamp < next.headTimestamp)) next = queue;
    return next;
  }

  #processHead(queue: RecordQueue): void {
    const { view, index, source } = queue;
    const timestamp = view.timestamps[index];
    if (timestamp > this.receiveTime) this.receiveTime = timestamp;
    if (source.streamTime === "record" && timestamp > this.streamTime) this.streamTime = timestamp;
    this.source.moveTo(queue.topic, queue.partition, view, index);
    if (index === 0) for (let i = 0; i < this.queues.length; i++) this.queues[i].releaseFinished();
    const stage = source.name;
    let kind: "decode" | "processing" = "decode";
    try {
      const key = queue.lookahead.key(view, index, source.key, this.#prefetch);
      const valueStart = view.valueStarts[index];
      const value = valueStart < 0 ? null : source.value.read(view.bytes, valueStart, view.valueEnds[index]);
      kind = "processing";
      this.#graph.entries.get(stage)?.forward({ key, value, timestamp, headers: source.repartition && this.source.headers() });
    } catch (error) {
      const done = this.#options.deadLetters.onError(kind, this.source, error, stage);
      this.count(COUNTER_OF[done], reasonOf(error), 1);
    }
    queue.advance();
    if (this.#punctuators.isDue("stream-time", this.streamTime)) this.#punctuate("stream-time", this.streamTime);
    if (this.#punctuators.isDue("receive-time", this.receiveTime)) this.#punctuate("receive-time", this.receiveTime);
  }

  #punctuate(clock: PunctuationClock, now: number): void {
    const startedAt = performance.now();
    this.#punctuations += this.#punctuators.run(clock, now);
    this.#punctuateMs += performance.now() - startedAt;
  }
}

/** A serde or processor may say why with a fixed code. */
export function reasonOf(error: unknown): string {
  return error instanceof Error && "reason" in error && typeof error.reason === "string" ? error.reason : "processing-error";
}
