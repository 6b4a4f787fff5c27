/** The regression guard's arithmetic. */

export interface Cost {
  readonly cpuUs: number;
  /** Allocated. */
  readonly bytes: number;
}

export interface Ratios {
  readonly cpu: number;
  readonly bytes: number;
}

/** To the reference loop, per event. */
export interface GuardRatios {
  readonly task: Ratios;
  readonly ingress: Ratios;
}

/** Above this times what is expected, something is lost that nobody can have meant: a busy machine does not do that to a median. */
export const GROSS_LOSS = 2;

/** Medians of a path's ratios to the reference, round by round. */
export function medianRatios(rounds: readonly Readonly<Record<string, Cost>>[], path: string): Ratios {
  const median = (of: (cost: Cost) => number): number => {
    const ratios = rounds.map((round) => of(round[path]) / of(round.reference)).sort((a, b) => a - b);
    return Math.round(ratios[ratios.length >> 1] * 100) / 100;
  };
  return { cpu: median((cost) => cost.cpuUs), bytes: median((cost) => cost.bytes) };
}

/** What is lost grossly, in words; empty when nothing is. */
export function grossLosses(measured: GuardRatios, expected: GuardRatios): string[] {
  return (["task", "ingress"] as const).flatMap((path) =>
    (["cpu", "bytes"] as const).flatMap((what) => {
      const [now, then] = [measured[path][what], expected[path][what]];
      return now <= then * GROSS_LOSS ? [] : [`${path}: ${what} an event is ${now} of the reference loop's, ${then} are expected`];
    }),
  );
}
