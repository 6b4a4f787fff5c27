/** Log lines about restores that take a while: how far, how fast, how long still. */
import type { Logger } from "pino";
import type { RestoreProgress } from "./queries.ts";
import { totalTimeLeftMs } from "./restore-meter.ts";

/** Often enough for whoever watches a log, and a restore of minutes stays a page. */
const REPORT_INTERVAL_MS = 5_000;

interface RestoringTask {
  readonly taskId: string;
  readonly stores: readonly RestoreProgress[];
}

export class RestoreReport {
  readonly #logger: Logger;
  readonly #restoring: () => readonly RestoringTask[];
  #timer: NodeJS.Timeout | undefined;

  constructor(logger: Logger, restoring: () => readonly RestoringTask[]) {
    this.#logger = logger;
    this.#restoring = restoring;
  }

  /** A line at once. */
  began(taskId: string, stores: readonly RestoreProgress[]): void {
    const remaining = stores.reduce((sum, store) => sum + store.remaining, 0);
    this.#logger.info({ taskId, remaining, stores: stores.map(({ store }) => store) }, "restore begins");
    this.#timer ??= setInterval(() => this.#report(), REPORT_INTERVAL_MS).unref();
  }

  /** Until the next began() there is nothing to say. */
  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #report(): void {
    for (const { taskId, stores } of this.#restoring()) {
      const sum = (of: (store: RestoreProgress) => number): number => stores.reduce((total, store) => total + of(store), 0);
      const [remaining, recordsPerSecond] = [sum((store) => store.remaining), sum((store) => store.recordsPerSecond)];
      const line = { taskId, restored: sum((store) => store.restored), remaining, recordsPerSecond, timeLeftMs: totalTimeLeftMs(stores) };
      if (line.timeLeftMs === undefined) this.#logger.warn(line, "restore stands still");
      else this.#logger.info(line, "restoring");
    }
  }
}
