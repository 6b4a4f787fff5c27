/**
 * What fails again and again and is tried for as long as it is wanted: longer and longer pauses between the attempts, said once when it
 * begins and once when it is over.
 */
import type { Logger } from "pino";
import { pauseMs } from "../eventlog/back-off.ts";

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
  readonly #cut: () => number;

  /** @param cut in [0, 1): the share of what may be cut of a pause */
  constructor(logger: Logger, cut: () => number = Math.random) {
    this.#logger = logger;
    this.#cut = cut;
  }

  /** Names that failed and neither worked nor were forgotten since. */
  get failing(): readonly string[] {
    return [...this.#failing.keys()];
  }

  /** Returns the pause before the next attempt, ms. */
  failed(name: string, error: unknown, what: string): number {
    let failing = this.#failing.get(name);
    if (failing === undefined) this.#failing.set(name, (failing = { since: performance.now(), attempts: 0 }));
    failing.attempts++;
    const { attempts } = failing;
    const waitMs = pauseMs(attempts, FIRST_PAUSE_MS, MAX_PAUSE_MS, () => 1 - this.#cut());
    this.#logger[attempts === 1 ? "warn" : "debug"]({ err: error, name, attempts, pauseMs: waitMs }, `${what}: tried again until it works`);
    return waitMs;
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
