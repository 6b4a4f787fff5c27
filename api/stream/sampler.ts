/** At most so many events a second, spread evenly over what came, so that no device is always the one that is shown. */

export class Sampler {
  readonly #perSecond: number;
  /** At most one second's worth. */
  #tokens: number;
  #refilledMs: number | undefined;

  constructor(perSecond: number) {
    this.#perSecond = perSecond;
    this.#tokens = perSecond;
  }

  /** Keeps the order. What `exempt` says is kept and costs nothing. */
  pick<T>(events: readonly T[], nowMs: number, exempt: (event: T) => boolean): readonly T[] {
    this.#refill(nowMs);
    const countable = events.reduce((count, event) => count + (exempt(event) ? 0 : 1), 0);
    if (countable === 0) return events;
    const budget = Math.min(countable, Math.floor(this.#tokens));
    this.#tokens -= budget;
    if (budget === countable) return events;
    // Bresenham's line in whole numbers: exactly `budget` picks from wherever it starts, and a random start favours none.
    let phase = Math.floor(Math.random() * countable);
    return events.filter((event) => {
      if (exempt(event)) return true;
      phase += budget;
      if (phase < countable) return false;
      phase -= countable;
      return true;
    });
  }

  #refill(nowMs: number): void {
    const elapsedMs = nowMs - (this.#refilledMs ?? nowMs);
    this.#refilledMs = nowMs;
    this.#tokens = Math.min(this.#perSecond, this.#tokens + (Math.max(0, elapsedMs) * this.#perSecond) / 1000);
  }
}
