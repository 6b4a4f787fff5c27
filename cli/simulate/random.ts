/** Seeded random numbers: the same seed makes the same fleet, on any machine. Source: Tommy Ettinger's mulberry32 (public domain). */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** In [0, 1). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    return mix(this.#state);
  }

  chance(probability: number): boolean {
    return probability > 0 && this.next() < probability;
  }

  /** A whole number in [min, max]. */
  between(min: number, max: number): number {
    return min + Math.floor(this.next() * (max - min + 1));
  }
}

/** A number in [0, 1) that depends on the parts alone: the noise of one reading, however often it is made. */
export function noise(...parts: readonly number[]): number {
  let state = 0x9e3779b9;
  for (const part of parts) state = (Math.imul(state ^ (part >>> 0), 0x85ebca6b) + 0x6d2b79f5) >>> 0;
  return mix(state);
}

function mix(state: number): number {
  let t = Math.imul(state ^ (state >>> 15), state | 1);
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
}
