/**
 * Brings one task up: state directory, stable input offsets, changelog, processors. Everything that waits happens
 * here, beside the running tasks.
 */
import { mkdir } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { LogError } from "../eventlog/errors.ts";
import type { CommittedOffset, EventLog, GroupMember } from "../eventlog/port.ts";
import type { EngineName } from "../state/engines/engine.ts";
import { TaskState } from "../state/task-state.ts";
import type { StoreSpec } from "../state/store.ts";
import type { Subtopology } from "../topology/graph.ts";
import type { Logger } from "pino";
import { RuntimeError } from "./errors.ts";
import { decodeClocks } from "./position-metadata.ts";
import type { Restorer } from "./restorer.ts";
import type { Task } from "./task.ts";
import type { TaskDirectories } from "./task-directories.ts";

/** A task that moves between two workers of one machine shares its directory: the old owner may need a moment to close. */
const LOCK_WAIT_MS = 30_000;
const LOCK_RETRY_MS = 50;
/** Offsets stay unstable while a dead worker's transaction is being aborted (measured: 12 ms; without fencing, its time-out). */
const STABLE_OFFSETS_WAIT_MS = 90_000;
const STABLE_OFFSETS_RETRY_MS = 10;

export interface TaskOpenerOptions {
  readonly log: EventLog;
  readonly applicationId: string;
  readonly directories: TaskDirectories;
  readonly engine: EngineName;
  readonly cacheBytesPerTask: () => number;
  readonly restorer: Restorer;
  readonly logger: Logger;
  /** Ends transactions that dead workers left open. */
  readonly fenceDead: () => Promise<void>;
}

export class TaskOpener {
  readonly #options: TaskOpenerOptions;
  constructor(options: TaskOpenerOptions) {
    this.#options = options;
  }

  /** @throws RuntimeError `state-busy`; StateError for state that even a rebuild does not mend. */
  async openState(taskId: string, stores: readonly StoreSpec<unknown>[], isCurrent: () => boolean): Promise<TaskState> {
    const { applicationId, directories, engine, cacheBytesPerTask, logger } = this.#options;
    const directory = directories.of(taskId);
    const options = { directory, engine, stores, cacheBytes: cacheBytesPerTask(), identity: `${applicationId}/${taskId}` };
    if (!directories.inMemory) await mkdir(directories.root, { recursive: true });
    const deadline = performance.now() + LOCK_WAIT_MS;
    for (;;) {
      try {
        return await TaskState.open(options);
      } catch (error) {
        if (!isStateError(error, "locked")) throw error;
        if (performance.now() >= deadline || !isCurrent())
          throw new RuntimeError("state-busy", `another process holds ${directory}`, error);
        logger.debug({ taskId }, "state directory is held by another worker: waiting");
        await delay(LOCK_RETRY_MS);
      }
    }
  }

  /** Deletes the local state of a task that is not open. */
  async wipe(taskId: string): Promise<void> {
    await this.#options.directories.wipe(taskId);
  }

  /** Restores and starts the task, whose state is open. */
  async bringUp(task: Task, subtopology: Subtopology, group: GroupMember): Promise<void> {
    await this.#options.fenceDead(); // an open transaction would hold up the offsets or the changelogs
    const committed = await this.#committedOffsets(task, subtopology, group);
    const { records: restored, bytes, ms } = await this.#options.restorer.restore(task);
    await task.ready(committed);
    const recordsPerSecond = Math.round(restored / (Math.max(1, ms) / 1000));
    this.#options.logger.info({ taskId: task.taskId, restored, bytes, ms, recordsPerSecond }, "task restored");
  }

  async #committedOffsets(
    task: Task,
    subtopology: Subtopology,
    group: GroupMember,
  ): Promise<{ topic: string; offset: number; streamTime: number; receiveTime: number }[]> {
    const partitions = subtopology.sources.map((source) => ({ topic: source.topic, partition: task.partition }));
    const deadline = performance.now() + STABLE_OFFSETS_WAIT_MS;
    let committed: readonly CommittedOffset[];
    for (;;) {
      try {
        committed = await group.committed(partitions);
        break;
      } catch (error) {
        if (!(error instanceof LogError) || error.code !== "unstable-offsets" || performance.now() >= deadline) throw error;
        await this.#options.fenceDead();
        await delay(STABLE_OFFSETS_RETRY_MS);
      }
    }
    const fresh = partitions.filter((partition) => !committed.some((offset) => offset.topic === partition.topic));
    const earliest = fresh.length === 0 ? [] : await this.#options.log.admin.listOffsets(fresh, "earliest", "read_committed");
    return [...committed, ...earliest].map((offset) => ({
      topic: offset.topic,
      offset: offset.offset,
      ...decodeClocks("metadata" in offset ? (offset.metadata as string) : undefined),
    }));
  }
}

export function isStateError(error: unknown, code: string): boolean {
  return error instanceof Error && error.name === "StateError" && "code" in error && error.code === code;
}
