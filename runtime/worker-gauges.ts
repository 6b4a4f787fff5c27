/** What is read of a worker at each scrape, and not counted as it happens. */
import { monitorEventLoopDelay } from "node:perf_hooks";
import { Counter, Gauge, type Registry } from "prom-client";
import type { RestoreProgress } from "./queries.ts";
import { totalTimeLeftMs } from "./restore-meter.ts";
import type { StandbyTasks } from "./standby-tasks.ts";
import type { Task } from "./task.ts";

/** Between two samples of the event loop; what is measured is by how much a timer of this length comes late. */
const EVENT_LOOP_SAMPLE_MS = 10;
const NS_PER_SECOND = 1e9;
const QUANTILES = [50, 99, 100];

export interface WorkerSources {
  readonly running: () => boolean;
  readonly tasks: () => readonly Task[];
  readonly restoring: (task: Task) => readonly RestoreProgress[];
  readonly standbys: () => Pick<StandbyTasks, "info" | "failing">;
}

/** @returns ends the sampling of the event loop. */
export function registerWorkerGauges(registry: Registry, { running, tasks, restoring, standbys }: WorkerSources): () => void {
  const sum = (of: (task: Task) => number) => (): number => tasks().reduce((total, task) => total + of(task), 0);
  gauge(registry, "sluice_worker_running", "1 when all tasks of this worker are running", () => Number(running()));
  gauge(registry, "sluice_tasks", "Tasks on this worker", () => tasks().length);
  gauge(
    registry,
    "sluice_source_lag_records",
    "Records between position and end of this worker's source partitions",
    sum((task) => task.lag),
  );
  gauge(
    registry,
    "sluice_uncheckpointed_bytes",
    "Committed rows not yet in the state engine",
    sum((task) => task.state.uncheckpointedBytes),
  );
  const remaining = (task: Task): number => restoring(task).reduce((total, store) => total + store.remaining, 0);
  gauge(
    registry,
    "sluice_restore_remaining_records",
    "Changelog offsets that restores have still to read: at most so many records, because of compaction and markers",
    sum(remaining),
  );
  gauge(registry, "sluice_standby_tasks", "Copies of other workers' tasks on this worker", () => standbys().info().length);
  gauge(
    registry,
    "sluice_standbys_failing",
    "Copies on this worker that failed and have not caught up since; they are tried again",
    () => standbys().failing,
  );
  byTask(registry, "sluice_standby_lag_records", "Changelog offsets that a standby of this worker has not applied yet", () =>
    standbys()
      .info()
      .flatMap(({ taskId, lag }) => (lag === null ? [] : [[taskId, lag] as const])),
  );
  gauge(
    registry,
    "sluice_restore_time_left_seconds",
    "Until the restores of this worker are over, at the rate of the last seconds; +Inf while nothing comes",
    () => (totalTimeLeftMs(tasks().flatMap(restoring)) ?? Infinity) / 1000,
  );
  const each = (of: (task: Task) => number) => () => tasks().map((task) => [task.taskId, of(task)] as const);
  byTask(registry, "sluice_task_restore_remaining_records", "Changelog offsets that a task's restore has still to read", each(remaining));
  byTask(
    registry,
    "sluice_task_lag_records",
    "Records between position and end of a task's source partitions",
    each((task) => task.lag),
  );
  cacheCounters(registry, tasks);
  return eventLoopDelay(registry);
}

function byTask(registry: Registry, name: string, help: string, read: () => readonly (readonly [taskId: string, value: number])[]): void {
  new Gauge({
    name,
    help,
    labelNames: ["task"],
    registers: [registry],
    collect() {
      this.reset(); // tasks that moved away
      for (const [task, value] of read()) this.set({ task }, value);
    },
  });
}

/** Stores count for themselves and go with their tasks: what is new since the last scrape is added. */
function cacheCounters(registry: Registry, tasks: () => readonly Task[]): void {
  for (const what of ["hits", "misses"] as const) {
    const seen = new WeakMap<Task, number>();
    new Counter({
      name: `sluice_store_cache_${what}_total`,
      help: `Look-ups of rows in the object cache: ${what}`,
      registers: [registry],
      collect() {
        for (const task of tasks()) {
          const now = task.state.stats().reduce((total, store) => total + store[what], 0);
          this.inc(Math.max(0, now - (seen.get(task) ?? 0)));
          seen.set(task, now);
        }
      },
    });
  }
}

function eventLoopDelay(registry: Registry): () => void {
  const histogram = monitorEventLoopDelay({ resolution: EVENT_LOOP_SAMPLE_MS });
  histogram.enable();
  new Gauge({
    name: "sluice_event_loop_delay_seconds",
    help: "How late the event loop came to a timer, since the last scrape; quantile 1 is the maximum",
    labelNames: ["quantile"],
    registers: [registry],
    collect() {
      for (const percent of QUANTILES) {
        const late = histogram.count === 0 ? 0 : histogram.percentile(percent) / NS_PER_SECOND - EVENT_LOOP_SAMPLE_MS / 1000;
        this.set({ quantile: String(percent / 100) }, Math.max(0, late));
      }
      histogram.reset();
    },
  });
  return () => histogram.disable();
}

function gauge(registry: Registry, name: string, help: string, read: () => number): void {
  new Gauge({
    name,
    help,
    registers: [registry],
    collect() {
      this.set(read());
    },
  });
}
