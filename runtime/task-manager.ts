/**
 * The tasks of one worker: opens and closes them as the group assigns. Opening goes on in the background and reports back through
 * `onReady` and `onFailed`.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import { LogError } from "../eventlog/errors.ts";
import { oldestTrouble } from "../eventlog/oldest-trouble.ts";
import type { GroupMember, Trouble } from "../eventlog/port.ts";
import type { Topology } from "../topology/topology.ts";
import { uncheckpointedBytes } from "./checkpointer.ts";
import { CorruptTasks, isMendedByWipe } from "./corrupt-tasks.ts";
import { DeadLetters, type DeadLetterOptions } from "./dead-letters.ts";
import { RuntimeError } from "./errors.ts";
import type { AssignedMember, WorkerAssignment } from "./group-protocol.ts";
import { Outage } from "./outage.ts";
import type { OutputCollector } from "./output-collector.ts";
import type { PartitionCounts } from "./partition-counts.ts";
import type { Restorer } from "./restorer.ts";
import type { StandbyTasks } from "./standby-tasks.ts";
import { Task } from "./task.ts";
import type { TaskDirectories } from "./task-directories.ts";
import { parseTaskId } from "./task-id.ts";
import type { TaskOpener } from "./task-opener.ts";

export interface TaskManagerOptions {
  readonly topology: Topology;
  readonly collector: OutputCollector;
  readonly opener: TaskOpener;
  readonly directories: TaskDirectories;
  readonly standbys: StandbyTasks;
  readonly restorer: Restorer;
  readonly changelogOf: (store: string) => string;
  readonly deadLetters: DeadLetterOptions;
  readonly topics: PartitionCounts;
  readonly logger: Logger;
  /** A task came up and may be fed. Not awaited: it takes the worker's lock, which whoever closes the task may hold. */
  readonly onReady: (task: Task) => void;
  /** A task could not come up. */
  readonly onFailed: (taskId: string, error: unknown) => void;
}

interface Slot {
  readonly taskId: string;
  /** Set when its state is open. */
  task: Task | undefined;
  /** Assigned away: committed and closed as soon as may be, and never resumed or opened again. */
  leaving: boolean;
  closed: boolean;
  /** Ends the wait before the next attempt to open it. */
  readonly closing: AbortController;
  /** Opening it has failed for a passing reason. */
  trouble: Trouble | undefined;
  /** The opening, until it is over; never rejects. */
  opening: Promise<void>;
}

export class TaskManager {
  readonly #options: TaskManagerOptions;
  /** Wiped when they are opened next. */
  readonly corrupt = new CorruptTasks();
  readonly #slots = new Map<string, Slot>();
  #members: readonly AssignedMember[] = [];
  /** Closings under way. */
  readonly #closing = new Set<Promise<void>>();

  constructor(options: TaskManagerOptions) {
    this.#options = options;
  }

  get members(): readonly AssignedMember[] {
    return this.#members;
  }

  /** Held here, in whatever state; nobody else may have them. */
  get taskIds(): string[] {
    return [...this.#slots.keys()];
  }

  /** Those with open state. */
  get tasks(): Task[] {
    return [...this.#slots.values()].flatMap((slot) => (slot.task === undefined ? [] : [slot.task]));
  }

  /** Restored and not closed. */
  get up(): Task[] {
    return this.tasks.filter((task) => task.isUp);
  }

  /** Of tasks that are up. */
  get uncheckpointedBytes(): number {
    return uncheckpointedBytes(this.up);
  }

  get running(): Task[] {
    return this.tasks.filter((task) => task.status === "running");
  }

  /** What is leaving does not count. */
  get allRunning(): boolean {
    return [...this.#slots.values()].every((slot) => slot.leaving || slot.task?.status === "running");
  }

  /** Of the task that has been tried to be opened longest. */
  get trouble(): Trouble | undefined {
    return oldestTrouble([...this.#slots.values()].map(({ trouble }) => trouble));
  }

  /** What stays is not touched, what is new comes up. Returns the running ones that go: closeLeaving() once they are committed. */
  follow(assignment: WorkerAssignment, group: GroupMember): Task[] {
    this.#members = assignment.members;
    for (const slot of this.#slots.values()) slot.leaving ||= !assignment.tasks.includes(slot.taskId);
    this.#open(
      assignment.tasks.filter((taskId) => !this.#slots.has(taskId)),
      group,
    );
    return this.running.filter((task) => this.#slots.get(task.taskId)?.leaving === true);
  }

  /** Checkpoints and closes what was assigned away. Nothing of it may be uncommitted. */
  async closeLeaving(): Promise<void> {
    const leaving = [...this.#slots.values()].filter((slot) => slot.leaving);
    await Promise.all(leaving.map(({ taskId }) => this.#close(taskId)));
  }

  /** A task that has come up may be fed, if it is still to stay. */
  resume(task: Task): void {
    const slot = this.#slots.get(task.taskId);
    if (slot?.task === task && !slot.leaving) task.resume();
  }

  /** After a failed commit: every task that stays again from its checkpoint and changelog. */
  async reopenAll(group: GroupMember): Promise<void> {
    const staying = [...this.#slots.values()].filter((slot) => !slot.leaving);
    await this.closeAll();
    this.#open(
      staying.map(({ taskId }) => taskId),
      group,
    );
  }

  /** Committed rows are written to the engines first: they are valid whatever else failed, and little is left to replay. */
  async closeAll(): Promise<void> {
    for (const taskId of this.taskIds) void this.#close(taskId).catch(() => undefined); // awaited below
    await Promise.all(this.#closing);
  }

  /** All are held before the first is opened: each gets its share of the cache by how many there are. */
  #open(taskIds: readonly string[], group: GroupMember): void {
    const slots = taskIds.map((taskId): Slot => ({
      taskId,
      task: undefined,
      leaving: false,
      closed: false,
      closing: new AbortController(),
      trouble: undefined,
      opening: Promise.resolve(),
    }));
    for (const slot of slots) this.#slots.set(slot.taskId, slot);
    for (const slot of slots) this.#begin(slot, group);
  }

  #begin(slot: Slot, group: GroupMember): void {
    const { taskId } = slot;
    slot.opening = this.#bringUpPatiently(slot, group).then(
      () => {
        if (!slot.closed && slot.task !== undefined) this.#options.onReady(slot.task);
      },
      (error: unknown) => {
        if (!slot.closed) this.#options.onFailed(taskId, error);
      },
    );
  }

  /** A log that is away for a moment costs the task that moment, see `trouble`. */
  async #bringUpPatiently(slot: Slot, group: GroupMember): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        await this.#bringUp(slot, group);
        slot.trouble = undefined;
        return;
      } catch (error) {
        if (slot.closed || !(error instanceof LogError) || error.action !== "retriable") throw error;
        slot.trouble ??= { since: performance.now(), error };
        this.#options.logger.debug({ taskId: slot.taskId, err: error }, "the task cannot be opened yet");
        await slot.task?.close();
        slot.task = undefined;
        const { signal } = slot.closing;
        await delay(Outage.waitMs(attempt, Math.random()), undefined, { signal }).catch(() => undefined); // aborted: closed
        if (slot.closed) return;
      }
    }
  }

  async #bringUp(slot: Slot, group: GroupMember, isRebuild = false): Promise<void> {
    const { topology, opener, standbys, logger } = this.#options;
    const id = parseTaskId(slot.taskId);
    const subtopology = id && topology.subtopologies[id.subtopology];
    if (id === undefined || subtopology === undefined)
      throw new RuntimeError("topology-mismatch", `task ${slot.taskId} is not of this topology: workers run different versions`);
    try {
      if (this.corrupt.take(slot.taskId)) await opener.wipe(slot.taskId);
      const state = (await standbys.take(slot.taskId)) ?? (await opener.openState(slot.taskId, subtopology.stores, () => !slot.closed));
      if (slot.closed) return await state.close();
      const { collector, topics, changelogOf, deadLetters } = this.#options;
      const task = new Task({
        taskId: slot.taskId,
        partition: id.partition,
        subtopology,
        state,
        collector,
        partitionsOf: (topic) => topics.of(topic),
        recordLimitOf: (topic) => topics.recordLimitOf(topic),
        changelogOf,
        deadLetters: new DeadLetters(deadLetters, collector),
        now: Date.now,
      });
      slot.task = task;
      task.restoring();
      await opener.bringUp(task, subtopology, group);
    } catch (error) {
      const mends = isMendedByWipe(error) || (error instanceof RuntimeError && error.code === "state-mismatch");
      if (isRebuild || slot.closed || !mends) throw error;
      logger.warn({ taskId: slot.taskId, err: error }, "local state cannot be used: rebuilding this task from its changelog");
      await slot.task?.close();
      slot.task = undefined;
      await opener.wipe(slot.taskId);
      await this.#bringUp(slot, group, true);
    }
  }

  #close(taskId: string): Promise<void> {
    const slot = this.#slots.get(taskId);
    if (slot === undefined) return Promise.resolve();
    const closing = this.#shut(slot).finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
    return closing;
  }

  async #shut(slot: Slot): Promise<void> {
    slot.closed = true;
    slot.closing.abort();
    this.#slots.delete(slot.taskId);
    const { task } = slot;
    const wasUp = task?.isUp === true;
    if (task !== undefined && !wasUp) this.#options.restorer.cancel(task);
    await slot.opening;
    if (task === undefined) return;
    try {
      if (!this.corrupt.has(slot.taskId)) {
        if (wasUp) await task.state.checkpoint();
        await this.#options.directories.savePosition(slot.taskId, task.state);
      }
    } catch (error) {
      if (!isMendedByWipe(error)) throw error;
      this.corrupt.mark(slot.taskId, error);
    } finally {
      await task.close();
    }
  }
}
