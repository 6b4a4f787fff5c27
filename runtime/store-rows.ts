/** Committed rows of tasks, and of copies of them, as queries see them: by key, by window, in order. */
import { storeNamed } from "../state/store.ts";
import { parseWindowCursor, StateUnavailableError, type StoreReader } from "./queries.ts";
import type { StandbyTask } from "./standby-task.ts";
import type { Task } from "./task.ts";
import { isStateError } from "./task-opener.ts";

/** What a client is told to wait while a task moves or restores. */
export const RETRY_AFTER_MS = 1_000;

/** Throws StateUnavailableError when the task moves while it is asked: never a wrong answer. */
export function taskReader(task: Task): StoreReader {
  return readerOf(task, async (read) => {
    try {
      const value = await read();
      if (task.isUp) return value;
    } catch (error) {
      if (task.isUp) throw error;
    }
    throw new StateUnavailableError(`task ${task.taskId} moved while it was asked`, RETRY_AFTER_MS);
  });
}

/** A copy that became the task while it was read has all that it had. */
export function standbyReader(standby: StandbyTask): StoreReader {
  return readerOf(standby, async (read) => {
    try {
      return await read();
    } catch (error) {
      if (!isStateError(error, "closed")) throw error;
      throw new StateUnavailableError(`the standby of task ${standby.taskId} was closed while it was asked`, RETRY_AFTER_MS);
    }
  });
}

function readerOf(
  { state, stores }: Pick<Task | StandbyTask, "state" | "stores">,
  guarded: <T>(read: () => Promise<T>) => Promise<T>,
): StoreReader {
  const find = (store: string) => storeNamed(stores, store); // absent, e.g., of alerts in a job without rules
  return {
    get: (store, key) => guarded(async () => (find(store) === undefined ? undefined : await state.getCommitted(store, key))),
    windows: (store, key, options) =>
      guarded(async () => {
        const rows = await state.fetchCommitted(store, key, options);
        return rows.map(([windowStart, value]) => ({ key, windowStart, value }));
      }),
    scan: (store, { after, ...bounds }) =>
      guarded(async () => {
        const spec = find(store);
        if (spec === undefined) return [];
        const isWindowed = spec.kind === "window";
        // A cursor without a window's start goes on after all windows of keys below it.
        const from = isWindowed && after !== undefined ? (parseWindowCursor(after) ?? { key: after, windowStart: 0 }) : after;
        const rows = await state.scanCommitted(store, { ...bounds, after: from });
        return rows.map(([key, value]) => (isWindowed ? { ...toWindowRow(key), value } : { key: String(key), value }));
      }),
  };
}

function toWindowRow(row: unknown): { key: string; windowStart: number } {
  const { key, windowStart } = row as { key: unknown; windowStart: number };
  return { key: String(key), windowStart };
}
