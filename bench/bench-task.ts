/** The IoT job's task without a log, fed and committed by the benchmark itself. */
import { parseBatches } from "../eventlog/records/parse-batches.ts";
import { DeadLetters } from "../runtime/dead-letters.ts";
import type { OutputCollector } from "../runtime/output-collector.ts";
import { Task } from "../runtime/task.ts";
import { TaskState } from "../state/task-state.ts";
import type { Subtopology } from "../topology/graph.ts";

/** Running, with a state in memory. */
export async function memoryTask(subtopology: Subtopology, collector: OutputCollector, cacheBytes: number): Promise<Task> {
  const { stores } = subtopology;
  const state = await TaskState.open({ directory: "", engine: "memory", stores, cacheBytes, identity: "bench/0_0" });
  return startTask(subtopology, state, collector);
}

/** All records of `bytes`, one raw batch or more, through the task. Returns how many. */
export function processBatches(task: Task, topic: string, bytes: Buffer): number {
  let processed = 0;
  for (const batch of parseBatches(bytes)) {
    const at = { topic, partition: 0, nextOffset: batch.nextOffset, highWatermark: 0, lastStableOffset: 0 };
    void task.add({ ...at, records: batch.records(0) });
    processed += task.process(Infinity);
  }
  return processed;
}

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
