/** What a committer says ahead of the next commit. The commits themselves: worker.test.ts, uncommitted-rows.test.ts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { GroupMember, TopicPartition, WrittenRange } from "../../../eventlog/port.ts";
import { Committer } from "../../../runtime/committer.ts";
import type { LogSink } from "../../../runtime/log-sink.ts";
import { OutputCollector } from "../../../runtime/output-collector.ts";
import type { Task } from "../../../runtime/task.ts";
import type { WorkerMetrics } from "../../../runtime/worker-metrics.ts";

/** Two tasks that write one record each to their partition of `out` and of their changelog, at every commit. */
function setUp(commitIntervalMs = 100) {
  const collector = new OutputCollector();
  const announced: string[][] = [];
  const calls: string[] = [];
  const tasks = [0, 1].map((partition) => {
    const task = {
      taskId: `0_${partition}`,
      partition,
      needsCommit: true,
      positionMoved: true,
      stores: [],
      changelogPositions: new Map(),
      state: { committed: () => undefined },
      freeze: () => {
        task.needsCommit = false;
        for (const topic of ["out", "changelog"]) collector.set.partition(topic, partition).append(0, null, 0, 0, null, 0, 0);
        return { task, positions: [{ topic: "in", partition, offset: 1 }], streamTime: 0, receiveTime: 0, counts: new Map() };
      },
    };
    return task;
  });
  let onWritten = (): void => undefined;
  const sink = {
    commit: (records): Promise<readonly WrittenRange[]> => {
      onWritten();
      return Promise.resolve(records.builders.map(({ topic, partition }) => ({ topic, partition, baseOffset: 0, nextOffset: 1 })));
    },
    announce: (partitions: readonly TopicPartition[]) => announced.push(partitions.map(({ topic, partition }) => `${topic}/${partition}`)),
    discard: () => calls.push("discard"),
  } as Partial<LogSink> as LogSink;
  const committer = new Committer({
    sink,
    collector,
    group: () => ({}) as GroupMember,
    changelogOf: () => "changelog",
    commitIntervalMs,
    memory: { gatheredBytes: Infinity, changedBytes: Infinity },
    metrics: { addCounts: () => undefined, committed: () => undefined } as unknown as WorkerMetrics,
    onCommitted: () => undefined,
    onSettled: () => undefined,
  });
  const commit = async (processed: readonly number[]): Promise<void> => {
    onWritten = () => {
      for (const partition of processed) tasks[partition].needsCommit = true;
    };
    committer.begin(tasks as unknown as Task[]);
    await committer.settled();
    assert.equal(committer.failure, undefined);
  };
  return { commit, committer, collector, announced, calls };
}

test("what was processed during a commit announces the partitions that its tasks have just written to", async () => {
  const { commit, announced } = setUp();
  await commit([1]);
  assert.deepEqual(announced, [["out/1", "changelog/1"]]);
  await commit([0, 1]);
  assert.deepEqual(announced[1], ["out/0", "changelog/0", "out/1", "changelog/1"]);
});

test("nothing is announced where nothing was processed, or the next commit may be long in coming", async () => {
  const idle = setUp();
  await idle.commit([]);
  assert.deepEqual(idle.announced, []);
  const rare = setUp(5_000);
  await rare.commit([0, 1]);
  assert.deepEqual(rare.announced, []);
});

test("what is discarded is discarded in the log, too", () => {
  const { committer, collector, calls } = setUp();
  collector.set.partition("out", 0).append(0, null, 0, 0, null, 0, 0);
  committer.discard();
  assert.equal(collector.set.recordCount, 0);
  assert.deepEqual(calls, ["discard"]);
});
