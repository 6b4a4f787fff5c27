/**
 * How often a device is told that a report of it was refused: each time the shadow is written again, so that a device which reports
 * nothing but nonsense must not fill the log. In memory: after a restart a device may be told once more.
 */

/** Between two rejections of a device, by the times of its reports, ms. */
const PAUSE_MS = 1_000;
/** Devices remembered, about 100 bytes each; with more within a second, who was told first may be told again. */
const MAX_DEVICES = 10_000;

export class RejectionPace {
  /** When each was told last, oldest first. */
  readonly #told = new Map<string, number>();

  mayTell(deviceKey: string, now: number): boolean {
    const last = this.#told.get(deviceKey);
    // A clock that was set back is no reason to say nothing for long.
    if (last !== undefined && Math.abs(now - last) < PAUSE_MS) return false;
    this.#told.delete(deviceKey);
    this.#told.set(deviceKey, now);
    if (this.#told.size > MAX_DEVICES) for (const oldest of this.#told.keys()) return this.#told.delete(oldest);
    return true;
  }
}
