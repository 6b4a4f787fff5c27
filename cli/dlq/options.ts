import type { CommonOptions } from "../command-options.ts";
import type { LetterFilter } from "./filter.ts";

/** What `dlq list` and `dlq replay` take alike; see cli/dlq/program.ts. */
export interface FilterOptions extends CommonOptions {
  readonly reason?: readonly string[];
  readonly stage?: string;
  readonly sourceTopic?: string;
  readonly tenant?: string;
  readonly device?: string;
  readonly since?: number;
  readonly until?: number;
  readonly partition?: number;
  /** First and last. */
  readonly offsets?: readonly [number, number];
}

export function filterOf({ reason, offsets, ...same }: FilterOptions): LetterFilter {
  const { stage, sourceTopic, tenant, device, since, until, partition } = same;
  return {
    reasons: reason,
    stage,
    sourceTopic,
    tenant,
    device,
    since,
    until,
    partition,
    firstOffset: offsets?.[0],
    lastOffset: offsets?.[1],
  };
}
