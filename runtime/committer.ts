/**
 * The commit protocol (design, section 5), in one place. Steps of commit N:
 *
 * 1. freeze: processors flush, dirty rows are encoded into changelog batches, input positions taken. Synchronous.
 * 2. one transaction: output and changelog records, then the input offsets with the group's generation (KIP-447).
 * 3. EndTxn(commit). Processing has gone on into N+1 since step 1; its output gathers in the other record set.
 * 4. N's rows become committed-not-checkpointed; a checkpoint writes them to the engine later.
 *
 * A failure anywhere leaves N and N+1 uncommitted: the worker reopens its tasks from the last checkpoint and changelog.
 */
import type { CommittedOffset, GroupMember, TopicPartition, Trouble } from "../eventlog/port.ts";
import type { RecordSet } from "../eventlog/records/record-set.ts";
import { decodedBytes } from "../state/object-cache.ts";
import { ofTask } from "./corrupt-tasks.ts";
import type { LogSink } from "./log-sink.ts";
import type { MemoryBudget } from "./memory-budget.ts";
import type { OutputCollector } from "./output-collector.ts";
import { encodeClocks } from "./position-metadata.ts";
import { refusedOutput, type RefusedOutput } from "./refused-output.ts";
import type { Task, TaskCommit } from "./task.ts";
import type { WorkerMetrics } from "./worker-metrics.ts";

/** With little to do, a commit begins at most so often: latency stays in the tens of ms, brokers see at most 100 transactions/s. */
const MIN_COMMIT_GAP_MS = 10;
/** Further behind than this, latency is the backlog's, and fewer, larger commits catch up sooner. Records over all tasks. */
const CATCH_UP_LAG = 50_000;
/** Commit intervals in one while catching up. */
const CATCH_UP_FACTOR = 8;
/** Commits take milliseconds; one that a slow broker takes longer for is worth saying. */
const SLOW_COMMIT_MS = 5_000;
/** A transaction that is open for longer than a minute is aborted by the log: none is begun where its commit may be so far away. */
const MAX_ANNOUNCED_MS = 10_000;
/** Positions that only moved past control batches are committed this rarely. */
const IDLE_POSITION_COMMIT_MS = 5_000;

export interface CommitterOptions {
  readonly sink: LogSink;
  readonly collector: OutputCollector;
  readonly group: () => GroupMember;
  readonly changelogOf: (store: string) => string;
  /** The longest a record waits for its commit to begin under load; CATCH_UP_FACTOR times that while far behind. */
  readonly commitIntervalMs: number;
  /** Of output and changed rows that wait for a commit: above it one is due, and nothing is processed until it has begun. */
  readonly memory: Pick<MemoryBudget, "gatheredBytes" | "changedBytes">;
  readonly metrics: WorkerMetrics;
  /** Called when a commit went through. */
  readonly onCommitted: (commits: readonly TaskCommit[]) => void;
  /** Called when a commit in flight is over, whichever way it went. */
  readonly onSettled: () => void;
}

export class Committer {
  readonly #options: CommitterOptions;
  #inFlight: Promise<void> | undefined;
  #failure: Error | undefined;
  #refused: RefusedOutput | undefined;
  #lastBeginAt = 0;
  #inFlightSince = 0;

  constructor(options: CommitterOptions) {
    this.#options = options;
  }

  get busy(): boolean {
    return this.#inFlight !== undefined;
  }

  /** The error of the last commit, until clearFailure(). */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** The log has not answered the commit in flight for long. */
  get trouble(): Trouble | undefined {
    const since = this.#inFlightSince;
    if (!this.busy || performance.now() - since < SLOW_COMMIT_MS) return undefined;
    return { since, error: new Error("no answer yet") };
  }

  /** What of the last commit was too large, where that is what it failed of, until clearFailure(). */
  get refused(): RefusedOutput | undefined {
    return this.#refused;
  }

  /** As if the commit in flight had failed, which must be settled: nothing since the last commit may go out. */
  failWith(error: Error): void {
    this.#failure ??= error;
  }

  /** Nothing of what was processed since the last commit is to go out. No commit is in flight. */
  discard(): void {
    this.#options.collector.discard();
    this.#options.sink.discard();
  }

  clearFailure(): void {
    this.#failure = undefined;
    this.#refused = undefined;
  }

  /** Resolves when no commit is in flight; never rejects (see failure). */
  async settled(): Promise<void> {
    await this.#inFlight;
  }

  /** Output or changed rows of `tasks` have outgrown their bound: nothing more is processed until a commit takes them. */
  isFull(tasks: Iterable<Task>): boolean {
    const { collector, memory } = this.#options;
    if (collector.set.byteLength >= memory.gatheredBytes) return true;
    let changedBytes = 0;
    for (const { state } of tasks) changedBytes += decodedBytes(state.dirtyRows, state.dirtyBytes);
    return changedBytes >= memory.changedBytes;
  }

  /** Milliseconds until a commit is due; 0 for now, Infinity for nothing to commit. `now` is performance.now(). */
  dueInMs(tasks: Iterable<Task>, backlog: boolean, now: number): number {
    let work = false;
    let moved = false;
    let lag = 0;
    for (const task of tasks) {
      lag += task.lag;
      work ||= task.needsCommit;
      moved ||= task.positionMoved;
    }
    if (!work) return moved ? Math.max(0, this.#lastBeginAt + IDLE_POSITION_COMMIT_MS - now) : Infinity;
    if (this.isFull(tasks)) return 0;
    const { commitIntervalMs } = this.#options;
    const interval = backlog ? commitIntervalMs * (lag > CATCH_UP_LAG ? CATCH_UP_FACTOR : 1) : MIN_COMMIT_GAP_MS;
    return Math.max(0, this.#lastBeginAt + interval - now);
  }

  /** Freezes and sets off; only when not busy. The result shows in settled() and failure. */
  begin(tasks: Iterable<Task>): void {
    const { collector } = this.#options;
    this.#lastBeginAt = performance.now();
    const commits = [...tasks]
      .filter((task) => task.needsCommit || task.positionMoved)
      .map((task) => ofTask(task.taskId, () => task.freeze()));
    const records = collector.take();
    this.#inFlightSince = performance.now();
    this.#inFlight = this.#commit(commits, records)
      .catch((error: unknown) => {
        this.#failure = error instanceof Error ? error : new Error(String(error));
        this.#refused = refusedOutput(error, records);
      })
      .finally(() => {
        collector.release(records);
        this.#inFlight = undefined;
        this.#options.onSettled();
      });
  }

  /** What is processed already will most likely be written where this commit was, and soon. */
  #announceNext(commits: readonly TaskCommit[], ranges: readonly TopicPartition[]): void {
    if (this.#options.commitIntervalMs * CATCH_UP_FACTOR > MAX_ANNOUNCED_MS) return;
    const next = new Set<number>();
    for (const { task } of commits) if (task.needsCommit) next.add(task.partition);
    if (next.size > 0) this.#options.sink.announce(ranges.filter(({ partition }) => next.has(partition)));
  }

  async #commit(commits: readonly TaskCommit[], records: RecordSet): Promise<void> {
    const { sink, group, changelogOf, metrics, onCommitted } = this.#options;
    const startedAt = performance.now();
    const offsets = commits.flatMap((commit): CommittedOffset[] =>
      commit.positions.map((position) => ({ ...position, metadata: encodeClocks(commit) })),
    );
    if (offsets.length === 0 && records.recordCount === 0) return;
    const ranges = await sink.commit(records, offsets, group());
    this.#announceNext(commits, ranges);
    const nextOffsets = new Map(ranges.map((range) => [`${range.topic}/${range.partition}`, range.nextOffset]));
    for (const { task, frozen, counts } of commits) {
      const positions = new Map<string, number>();
      for (const store of task.stores) {
        const next = nextOffsets.get(`${changelogOf(store.name)}/${task.partition}`);
        if (next === undefined) continue;
        positions.set(store.name, next);
        task.changelogPositions.set(store.name, next);
      }
      task.state.committed(frozen, positions);
      metrics.addCounts(counts);
    }
    metrics.committed((performance.now() - startedAt) / 1000, commits, records.byteLength);
    onCommitted(commits);
  }
}
