import { pauseMs } from "../../eventlog/back-off.ts";

/** Of one worker; a fault that a restart mends is gone before that. */
export const MAX_RESTARTS = 6;
export const RESTART_WINDOW_MS = 600_000;
/** Before the first: what made it end (a broker's restart, a full disk) rarely is over at once. Doubles: six take half a minute in all. */
const PAUSE_MIN_MS = 500;
const PAUSE_MAX_MS = 30_000;

/** When one worker may be started again. */
export class RestartBudget {
  readonly #random: () => number;
  #startedAtMs: number[] = [];

  constructor(random: () => number = Math.random) {
    this.#random = random;
  }

  /** Milliseconds until its next start, at `nowMs` of any clock; undefined when it ended too often. */
  next(nowMs: number): number | undefined {
    this.#startedAtMs = this.#startedAtMs.filter((startedAt) => nowMs - startedAt < RESTART_WINDOW_MS);
    if (this.#startedAtMs.length >= MAX_RESTARTS) return undefined;
    this.#startedAtMs.push(nowMs);
    return pauseMs(this.#startedAtMs.length, PAUSE_MIN_MS, PAUSE_MAX_MS, this.#random);
  }
}
