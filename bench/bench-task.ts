/** The IoT job's task without a log, fed and committed by the benchmark itself. */
import { DeadLetters } from "../runtime/dead-letters.ts";
import type { OutputCollector } from "../runtime/output-collector.ts";
import { Task } from "../runtime/task.ts";
import type { TaskState } from "../state/task-state.ts";
import type { Subtopology } from "../topology/graph.ts";

/** Running, at offset 0 of its one source. */
export async function startTask(subtopology: Subtopology, state: TaskState, collector: OutputCollector): Promise<Task> {
  const task = new Task({
    taskId: "0_0",
    partition: 0,
    subtopology,
    state,
    collector,
    partitionsOf: () => 1,
    changelogOf: (store) => `${store}-changelog`,
    deadLetters: new DeadLetters({ topic: "dlq", partitions: 1, maxValueBytes: 1_000_000, now: Date.now }, collector),
    now: Date.now,
  });
  task.restoring();
  await task.ready([{ topic: subtopology.sources[0].topic, offset: 0, streamTime: -1, receiveTime: -1 }]);
  task.resume();
  return task;
}
