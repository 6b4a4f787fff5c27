/**
 * A worker's state on disk:
 *
 *     <stateDir>/<applicationId>/<taskId>/           the task's engine
 *     <stateDir>/<applicationId>/<taskId>.position   how far its changelogs are in it
 *     <stateDir>/<applicationId>/state-id            of this directory: workers that share it know by it
 *
 * A position file is a hint for the assignor, so that no engine has to be opened to join a group: wrong or missing, a task is placed
 * less well. What a restore goes by stands in the engine.
 */
import { randomUUID } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { EngineName } from "../state/engines/engine.ts";
import { TaskState } from "../state/task-state.ts";
import { parseTaskId } from "./task-id.ts";

const POSITION_SUFFIX = ".position";
const STATE_ID_FILE = "state-id";

export class TaskDirectories {
  readonly root: string;
  readonly #engine: EngineName;
  #stateId: string | undefined;

  constructor(stateDir: string, applicationId: string, engine: EngineName) {
    this.root = join(stateDir, applicationId);
    this.#engine = engine;
  }

  /** Nothing is ever written to disk. */
  get inMemory(): boolean {
    return this.#engine === "memory";
  }

  of(taskId: string): string {
    return join(this.root, taskId);
  }

  /** Tasks with state here. */
  list(): string[] {
    return this.#files().filter((name) => parseTaskId(name) !== undefined);
  }

  /** State in memory is nobody else's. */
  stateId(): string {
    return (this.#stateId ??= this.inMemory ? randomUUID() : this.#readStateId());
  }

  /** Made by whoever comes first. */
  #readStateId(): string {
    const path = join(this.root, STATE_ID_FILE);
    mkdirSync(this.root, { recursive: true });
    try {
      writeFileSync(path, randomUUID(), { flag: "wx" });
    } catch (error) {
      if (!isFileError(error, "EEXIST")) throw error;
    }
    return readFileSync(path, "utf8");
  }

  /** By task: changelog offsets that its state stands for, summed over its stores. */
  positions(): Map<string, number> {
    const positions = new Map<string, number>();
    for (const name of this.#files()) {
      if (!name.endsWith(POSITION_SUFFIX)) continue;
      const position = Number(this.#read(name));
      if (Number.isSafeInteger(position)) positions.set(name.slice(0, -POSITION_SUFFIX.length), position);
    }
    return positions;
  }

  /** After a checkpoint. */
  async savePosition(taskId: string, state: TaskState): Promise<void> {
    if (!this.inMemory) await writeFile(this.of(taskId) + POSITION_SUFFIX, String(changelogPosition(state)));
  }

  async forgetPosition(taskId: string): Promise<void> {
    await rm(this.of(taskId) + POSITION_SUFFIX, { force: true });
  }

  /** Deletes the state of a task that is not open. */
  async wipe(taskId: string): Promise<void> {
    await this.forgetPosition(taskId);
    await TaskState.wipeDirectory(this.of(taskId), this.#engine);
  }

  #files(): string[] {
    if (this.inMemory) return [];
    try {
      return readdirSync(this.root);
    } catch (error) {
      if (isFileError(error, "ENOENT")) return [];
      throw error;
    }
  }

  #read(name: string): string | undefined {
    try {
      return readFileSync(join(this.root, name), "utf8");
    } catch (error) {
      if (isFileError(error, "ENOENT")) return undefined; // another worker's, wiped just now
      throw error;
    }
  }
}

/** Next changelog offsets of the state's last checkpoint, summed over its stores. */
export function changelogPosition(state: TaskState): number {
  return state.storeNames.reduce((sum, name) => sum + (state.checkpointPosition(name) ?? 0), 0);
}

/** A system error of this code, e.g. ENOENT. */
export function isFileError(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}
