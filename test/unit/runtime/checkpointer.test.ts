/** Which task is checkpointed when. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Checkpointer } from "../../../runtime/checkpointer.ts";
import type { Task } from "../../../runtime/task.ts";
import type { TaskDirectories } from "../../../runtime/task-directories.ts";
import { recorder } from "../../support/log-recorder.ts";

const INTERVAL_MS = 5_000;
const MAX_BYTES = 1_000;
const TICK_MS = 50;
const DIRECTORIES = { savePosition: () => Promise.resolve() } as unknown as TaskDirectories;

/** Tasks that change a little all the time, over so many ms: when each was checkpointed. */
async function run(
  tasks: number,
  durationMs: number,
  bytesOf: (task: number) => number = () => 1,
): Promise<[atMs: number, task: number][]> {
  const done: [number, number][] = [];
  let now = 0;
  const all = Array.from(
    { length: tasks },
    (_, task) =>
      ({
        taskId: `0_${task}`,
        state: {
          uncheckpointedBytes: bytesOf(task),
          checkpoint: () => {
            done.push([now, task]);
            return Promise.resolve();
          },
        },
      }) as unknown as Task,
  );
  const checkpointer = new Checkpointer(INTERVAL_MS, MAX_BYTES, DIRECTORIES);
  for (; now < durationMs; now += TICK_MS) {
    checkpointer.tick(all, now, recorder().logger);
    await checkpointer.settled();
  }
  return done;
}

test("each task is checkpointed once an interval, and all of them evenly over it", async () => {
  const done = await run(4, 8 * INTERVAL_MS);
  const times = done.map(([atMs]) => atMs);
  const gaps = times.slice(1).map((atMs, i) => atMs - times[i]);
  assert.ok(Math.min(...gaps) >= INTERVAL_MS / 4, `gaps ${gaps.join()}`);
  for (let task = 0; task < 4; task++) {
    const own = done.filter(([, of]) => of === task).map(([atMs]) => atMs);
    const ownGaps = own.slice(1).map((atMs, i) => atMs - own[i]);
    assert.ok(own.length >= 5, `task ${task}: ${own.join()}`);
    assert.ok(Math.max(...ownGaps) <= INTERVAL_MS + 4 * TICK_MS, `task ${task}: ${own.join()}`);
  }
});

test("above the bound of all tasks' rows nothing is spread: the task with the most is next, at once", async () => {
  const done = await run(3, 4 * TICK_MS, (task) => [10, MAX_BYTES, 20][task]);
  assert.deepEqual(
    done.map(([, task]) => task),
    [1, 1, 1, 1],
  );
});
