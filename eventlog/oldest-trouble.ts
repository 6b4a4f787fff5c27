import type { Trouble } from "./port.ts";

/** Of several the one that has lasted longest. */
export function oldestTrouble(troubles: Iterable<Trouble | undefined>): Trouble | undefined {
  let oldest: Trouble | undefined;
  for (const trouble of troubles) if (trouble !== undefined && (oldest === undefined || trouble.since < oldest.since)) oldest = trouble;
  return oldest;
}
