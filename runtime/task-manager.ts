/**
 * The tasks of one worker: follows the group's assignment, opens and closes tasks. The worker calls it with its loop
 * stopped; opening goes on in the background and reports back through `onReady` and `onFailed`.
 */
import type { Logger } from "pino";
import type { GroupMember } from "../eventlog/port.ts";
import type { Topology } from "../topology/topology.ts";
import type { AssignedMember, WorkerAssignment } from "./assignor.ts";
import { CorruptTasks, isMendedByWipe } from "./corrupt-tasks.ts";
import { DeadLetters, type DeadLetterOptions } from "./dead-letters.ts";
import { RuntimeError } from "./errors.ts";
import type { OutputCollector } from "./output-collector.ts";
import type { Restorer } from "./restorer.ts";
import { Task } from "./task.ts";
import type { TaskOpener } from "./task-opener.ts";

export interface TaskManagerOptions {
  readonly topology: Topology;
  readonly collector: OutputCollector;
  readonly opener: TaskOpener;
  readonly restorer: Restorer;
  readonly changelogOf: (store: string) => string;
  readonly deadLetters: DeadLetterOptions;
  readonly partitionsOf: (topic: string) => number;
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
  closed: boolean;
  /** The opening, until it is over; never rejects. */
  opening: Promise<void>;
}

export class TaskManager {
  readonly #options: TaskManagerOptions;
  /** Wiped when they are opened next. */
  readonly corrupt = new CorruptTasks();
  readonly #slots = new Map<string, Slot>();
  #members: readonly AssignedMember[] = [];

  constructor(options: TaskManagerOptions) {
    this.#options = options;
  }

  get members(): readonly AssignedMember[] {
    return this.#members;
  }

  /** Assigned here, in whatever state. */
  get taskIds(): string[] {
    return [...this.#slots.keys()];
  }

  /** Those with open state. */
  get tasks(): Task[] {
    return [...this.#slots.values()].flatMap((slot) => (slot.task === undefined ? [] : [slot.task]));
  }

  get running(): Task[] {
    return this.tasks.filter((task) => task.status === "running");
  }

  get allRunning(): boolean {
    return [...this.#slots.values()].every((slot) => slot.task?.status === "running");
  }

  suspend(): void {
    for (const task of this.tasks) task.suspend();
  }

  /** Closes what moved away, resumes what stayed, opens what is new. */
  async apply(assignment: WorkerAssignment, group: GroupMember): Promise<void> {
    this.#members = assignment.members;
    const gone = this.taskIds.filter((taskId) => !assignment.tasks.includes(taskId));
    await Promise.all(gone.map((taskId) => this.#close(taskId, true)));
    for (const task of this.tasks) task.resume();
    for (const taskId of assignment.tasks) if (!this.#slots.has(taskId)) this.#open(taskId, group);
  }

  /** After a failed commit: every task again from its checkpoint and changelog. Committed rows are saved first, so that little is replayed. */
  async reopenAll(group: GroupMember): Promise<void> {
    const taskIds = this.taskIds;
    await this.closeAll(true);
    for (const taskId of taskIds) this.#open(taskId, group);
  }

  /** @param checkpoint whether committed rows are written to the engine first (they are valid whatever else failed). */
  async closeAll(checkpoint: boolean): Promise<void> {
    await Promise.all(this.taskIds.map((taskId) => this.#close(taskId, checkpoint)));
  }

  #open(taskId: string, group: GroupMember): void {
    const slot: Slot = { taskId, task: undefined, closed: false, opening: Promise.resolve() };
    this.#slots.set(taskId, slot);
    slot.opening = this.#bringUp(slot, group).then(
      () => {
        if (!slot.closed && slot.task !== undefined) this.#options.onReady(slot.task);
      },
      (error: unknown) => {
        if (!slot.closed) this.#options.onFailed(taskId, error);
      },
    );
  }

  async #bringUp(slot: Slot, group: GroupMember, isRebuild = false): Promise<void> {
    const { topology, opener, logger } = this.#options;
    const [subtopologyId, partition] = slot.taskId.split("_").map(Number);
    const subtopology = topology.subtopologies[subtopologyId];
    if (subtopology === undefined)
      throw new RuntimeError("topology-mismatch", `task ${slot.taskId} is not of this topology: workers run different versions`);
    try {
      if (this.corrupt.take(slot.taskId)) await opener.wipe(slot.taskId);
      const state = await opener.openState(slot.taskId, subtopology.stores, () => !slot.closed);
      if (slot.closed) return await state.close();
      const { collector, partitionsOf, changelogOf, deadLetters } = this.#options;
      const task = new Task({
        taskId: slot.taskId,
        partition,
        subtopology,
        state,
        collector,
        partitionsOf,
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

  async #close(taskId: string, checkpoint: boolean): Promise<void> {
    const slot = this.#slots.get(taskId);
    if (slot === undefined) return;
    slot.closed = true;
    this.#slots.delete(taskId);
    const { task } = slot;
    const wasRunning = task?.status === "running" || task?.status === "suspended";
    if (task !== undefined && !wasRunning) this.#options.restorer.cancel(task);
    await slot.opening;
    if (task === undefined) return;
    try {
      if (checkpoint && wasRunning && !this.corrupt.has(taskId)) await task.state.checkpoint();
    } catch (error) {
      if (!isMendedByWipe(error)) throw error;
      this.corrupt.mark(taskId, error);
    } finally {
      await task.close();
    }
  }
}
