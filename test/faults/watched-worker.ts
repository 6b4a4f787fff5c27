/** A worker process as its HTTP API tells of it. */
import type { RestoreProgress, TaskInfo } from "../../runtime/queries.ts";
import type { CliProcess } from "../support/spawn-cli.ts";

/** An answer takes milliseconds; a busy machine is given more. */
const ANSWER_TIMEOUT_MS = 5_000;

/** Tasks of this worker alone. */
export async function tasksOf(worker: CliProcess): Promise<readonly TaskInfo[]> {
  const [, url] = await worker.waitForOutput(/"url":"(http:[^"]+)"/);
  const answer = await fetch(`${url}/v1/tasks?scope=local`, { signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) });
  const { workers } = (await answer.json()) as { workers: { tasks: TaskInfo[] }[] };
  return workers.flatMap(({ tasks }) => tasks);
}

/** Restores that have begun and still have something to read. */
export async function restoresOf(worker: CliProcess): Promise<readonly RestoreProgress[]> {
  return (await tasksOf(worker)).flatMap(({ restore }) => restore).filter(({ remaining }) => remaining > 0);
}

export async function runningTasksOf(worker: CliProcess): Promise<readonly string[]> {
  return (await tasksOf(worker)).flatMap(({ taskId, status }) => (status === "running" ? [taskId] : []));
}
