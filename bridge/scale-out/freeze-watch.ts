/** Notices that the process stood still (SIGSTOP, a suspended machine): longer than its session, and others may have its slots. */

/** Of the pause that must not be missed. */
const CHECKS_PER_PAUSE = 8;

export class FreezeWatch {
  readonly #timer: NodeJS.Timeout;
  #lastMs = performance.now();

  constructor(pauseMs: number, onFreeze: (pausedMs: number) => void) {
    this.#timer = setInterval(() => {
      const nowMs = performance.now();
      const pausedMs = nowMs - this.#lastMs;
      this.#lastMs = nowMs;
      if (pausedMs > pauseMs) onFreeze(pausedMs);
    }, pauseMs / CHECKS_PER_PAUSE);
    this.#timer.unref();
  }

  close(): void {
    clearInterval(this.#timer);
  }
}
