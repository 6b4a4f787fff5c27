/** Looks at a job while faults happen: how long it goes without a commit, and what memory its workers take. */
import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { committedSum } from "../../support/telemetry.ts";
import type { JobUnderFaults } from "../job-under-faults.ts";

const EVERY_MS = 200;
/** VmHWM: the most a process ever had (Linux only; elsewhere the figure is 0). */
const PEAK = /^VmHWM:\s+(\d+) kB$/m;

export class Watch {
  readonly #job: JobUnderFaults;
  readonly #stopped = new AbortController();
  readonly #watching: Promise<void>;
  /** Between two looks that saw more committed, with something to commit all the while. What Kafka didn't answer meanwhile counts in. */
  longestGapMs = 0;
  peakRssMiB = 0;

  constructor(job: JobUnderFaults) {
    this.#job = job;
    this.#watching = this.#watch();
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#watching;
  }

  async #watch(): Promise<void> {
    const { log, group, topics, fleet } = this.#job;
    let [committed, since] = [0, performance.now()];
    while (!this.#stopped.signal.aborted) {
      for (const name of fleet.names) this.peakRssMiB = Math.max(this.peakRssMiB, peakRssMiB(fleet.get(name).pid));
      const { written } = this.#job;
      const now = await committedSum(log, group, topics.raw).catch(() => committed); // a coordinator that is down knows no commit
      const at = performance.now();
      this.longestGapMs = Math.max(this.longestGapMs, at - since);
      if (now > committed || now >= written) [committed, since] = [now, at];
      await delay(EVERY_MS, undefined, { signal: this.#stopped.signal }).catch(() => undefined); // stopped: the loop ends
    }
  }
}

/** 0 for a process that has just ended. */
function peakRssMiB(pid: number): number {
  try {
    return Math.round(Number(PEAK.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) / 1024);
  } catch {
    return 0;
  }
}
