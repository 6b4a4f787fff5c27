/** Names of tasks: `<sub-topology>_<partition>`. */

export interface TaskId {
  readonly id: string;
  readonly subtopology: number;
  readonly partition: number;
}

export function taskIdOf(subtopology: number, partition: number): TaskId {
  return { id: `${subtopology}_${partition}`, subtopology, partition };
}

/** Undefined for text that names no task. */
export function parseTaskId(id: string): TaskId | undefined {
  const match = /^(\d+)_(\d+)$/.exec(id);
  return match === null ? undefined : { id, subtopology: Number(match[1]), partition: Number(match[2]) };
}
