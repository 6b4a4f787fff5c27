/**
 * A token bucket as one number: the time at which it is full again (the generic cell rate algorithm, ITU-T I.371). Nothing
 * has to be refilled by a timer, and the time at which the next token comes is known in advance. Times are ms of a monotonic clock.
 */
export interface RateLimit {
  /** Between two tokens. */
  readonly intervalMs: number;
  /** How far ahead of an even rate a sender may be: the burst. */
  readonly aheadMs: number;
}

/** @param burst messages at once, at least 1 */
export function rateLimit(perSecond: number, burst: number): RateLimit {
  const intervalMs = 1000 / perSecond;
  return { intervalMs, aheadMs: (burst - 1) * intervalMs };
}

export class TokenBucket {
  #fullAtMs = -Infinity;

  /** Until a token is there; 0 or less: now. */
  waitMs(limit: RateLimit, nowMs: number): number {
    return this.#fullAtMs - limit.aheadMs - nowMs;
  }

  /** Takes a token, or so many, even if they are still to come: then whoever asks next waits longer. */
  take(limit: RateLimit, nowMs: number, tokens = 1): void {
    this.#fullAtMs = Math.max(this.#fullAtMs, nowMs) + limit.intervalMs * tokens;
  }

  /** A token that was taken and not used. */
  giveBack(limit: RateLimit): void {
    this.#fullAtMs -= limit.intervalMs;
  }
}
