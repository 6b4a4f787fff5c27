/**
 * The pause before attempt `attempt + 1` (from 1): doubles per attempt up to `maxMs`, and half of it is random, so that those who lost the
 * same thing do not come back in step.
 */
export function pauseMs(attempt: number, minMs: number, maxMs: number, random: () => number): number {
  const full = Math.min(maxMs, minMs * 2 ** Math.min(attempt - 1, 30));
  return Math.ceil(full / 2 + (random() * full) / 2);
}
