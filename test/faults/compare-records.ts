/** What two sets of records, each written out as text, have not in common. Order is not compared: which window of two devices closes first is not part of the promise. */
export interface Difference {
  readonly expected: number;
  /** Expected more often than they are there. */
  readonly lost: number;
  /** There more often than expected. */
  readonly doubled: number;
  /** There, and not expected at all. */
  readonly foreign: number;
  /** A few of all these, for people. */
  readonly examples: readonly string[];
}

const MAX_EXAMPLES = 5;

export function compareRecords(expected: readonly string[], actual: readonly string[]): Difference {
  const leftOf = new Map<string, number>();
  for (const record of expected) leftOf.set(record, (leftOf.get(record) ?? 0) + 1);
  const examples: string[] = [];
  const example = (kind: string, record: string): void => void (examples.length < MAX_EXAMPLES && examples.push(`${kind}: ${record}`));
  let [lost, doubled, foreign] = [0, 0, 0];
  for (const record of actual) {
    const left = leftOf.get(record);
    if (left === undefined) {
      foreign++;
      example("foreign", record);
      continue;
    }
    leftOf.set(record, left - 1);
    if (left > 0) continue;
    doubled++;
    example("doubled", record);
  }
  for (const [record, left] of leftOf) {
    if (left <= 0) continue;
    lost += left;
    example("lost", record);
  }
  return { expected: expected.length, lost, doubled, foreign, examples };
}

/** Of several comparisons together. */
export function totalOf(
  differences: readonly Difference[],
): Pick<Difference, "lost" | "doubled" | "foreign"> & { readonly compared: number } {
  const sum = (key: "expected" | "lost" | "doubled" | "foreign"): number =>
    differences.reduce((total, difference) => total + difference[key], 0);
  return { compared: sum("expected"), lost: sum("lost"), doubled: sum("doubled"), foreign: sum("foreign") };
}
