/**
 * How long commits have failed for, and the waits between the attempts to recover. Only time in recovery counts, over all failures
 * since a commit last went through: an hour without anything to commit is no outage.
 */
import { setTimeout as delay } from "node:timers/promises";
import { pauseMs } from "../eventlog/back-off.ts";

/** Doubled with each attempt: a log that was away for a moment costs a moment. */
const FIRST_WAIT_MS = 200;
/** A log that is back is noticed within it. Each wait is cut by up to half at random, so that workers do not come all at once. */
const MAX_WAIT_MS = 5_000;

export class Outage {
  readonly #timeoutMs: number;
  #attempts = 0;
  /** performance.now(). */
  #since: number | undefined;
  #before = 0;

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  /** To be awaited before each attempt to recover: the first one at once, each later one later. Ends early with the signal. */
  async wait(signal: AbortSignal): Promise<void> {
    this.#since ??= performance.now();
    const waitMs = Outage.waitMs(this.#attempts++, Math.random());
    if (waitMs > 0) await delay(waitMs, undefined, { signal }).catch(() => undefined); // aborted: the worker stops
  }

  /** Before attempt `attempt` (from 0); `cut` in [0, 1): the share of what may be cut. */
  static waitMs(attempt: number, cut: number): number {
    return attempt === 0 ? 0 : pauseMs(attempt, FIRST_WAIT_MS, MAX_WAIT_MS, () => 1 - cut);
  }

  /** Attempts to recover since a commit last went through. */
  get attempts(): number {
    return this.#attempts;
  }

  get ms(): number {
    return this.#before + (this.#since === undefined ? 0 : performance.now() - this.#since);
  }

  get isTooLong(): boolean {
    return this.ms >= this.#timeoutMs;
  }

  /** The writer is back; whether commits go through again is not known yet. */
  recovered(): void {
    this.#before = this.ms;
    this.#since = undefined;
  }

  /** A commit went through. Returns the attempts to recover that it took. */
  over(): number {
    const attempts = this.#attempts;
    this.#attempts = 0;
    this.#before = 0;
    this.#since = undefined;
    return attempts;
  }
}
