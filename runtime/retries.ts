/**
 * What fails again and again and is tried for as long as it is wanted: longer and longer pauses between the attempts, said once when it
 * begins and once when it is over.
 */
import type { Logger } from "pino";

/** Doubled with each attempt. */
const FIRST_PAUSE_MS = 2_000;
/** What is back is noticed within it, and what an attempt costs (a copy that is read anew from its changelog's start) is paid once in it. */
const MAX_PAUSE_MS = 60_000;

interface Failing {
  readonly since: number;
  attempts: number;
}

export class Retries {
  readonly #failing = new Map<string, Failing>();
  readonly #logger: Logger;
  readonly #random: () => number;

  /** @param random in [0, 1) */
  constructor(logger: Logger, random: () => number = Math.random) {
    this.#logger = logger;
    this.#random = random;
  }

  /** Names that failed and neither worked nor were forgotten since. */
  get failing(): readonly string[] {
    return [...this.#failing.keys()];
  }

  /** Returns the pause before the next attempt, ms: half of it is random, so that those that failed of one thing do not come in step. */
  failed(name: string, error: unknown, what: string): number {
    let failing = this.#failing.get(name);
    if (failing === undefined) this.#failing.set(name, (failing = { since: performance.now(), attempts: 0 }));
    failing.attempts++;
    const most = Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(failing.attempts - 1, 10));
    const pauseMs = Math.round(most * (1 - this.#random() / 2));
    const { attempts } = failing;
    this.#logger[attempts === 1 ? "warn" : "debug"]({ err: error, name, attempts, pauseMs }, `${what}: tried again until it works`);
    return pauseMs;
  }

  worked(name: string, what: string): void {
    const failing = this.#failing.get(name);
    if (failing === undefined) return;
    this.#failing.delete(name);
    this.#logger.info({ name, attempts: failing.attempts, ms: Math.round(performance.now() - failing.since) }, what);
  }

  /** It is not wanted any more. */
  forget(name: string): void {
    this.#failing.delete(name);
  }
}
