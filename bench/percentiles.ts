/** The value below which so much of the sample lies. */

/** @param share 0 to 1. @returns NaN for an empty sample */
export function percentiles<K extends string>(sample: readonly number[], shares: Readonly<Record<K, number>>): Record<K, number> {
  const sorted = Float64Array.from(sample).sort();
  const entries = Object.entries<number>(shares).map(([name, share]) => [name, sorted.at(Math.floor(share * (sorted.length - 1))) ?? NaN]);
  return Object.fromEntries(entries) as Record<K, number>;
}
