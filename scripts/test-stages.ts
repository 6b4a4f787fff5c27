import type { Requirement } from "../test/support/need.ts";

/** A part of `npm test`. Either a command of an installed package, or test files. */
export interface Stage {
  readonly name: string;
  /** What a run of it takes at the very most, beside what the stages before it have left of theirs; it is then ended and counts as failed. */
  readonly limitMs: number;
  readonly command?: readonly string[];
  readonly files?: readonly string[];
  /** Longest single test. Default 60 s. */
  readonly testTimeoutMs?: number;
  /** Test files at the same time, on two cores. Default: one. */
  readonly concurrency?: number;
  /** Provided before the tests start, so that no test's time goes into an installation. */
  readonly needs?: readonly Requirement[];
  /** Starts one Kafka for all files of the stage. */
  readonly sharedKafka?: boolean;
}

const MINUTE_MS = 60_000;

/** CI's time for everything. What the limits leave of it is for installing and for starting Kafka. */
export const TOTAL_LIMIT_MS = 20 * MINUTE_MS;

/**
 * Cheap first. Each limit is at least twice what the stage takes on two idle cores (seconds, in its line), but for the last ones: what
 * others leave is theirs. The fault tests wait for sessions to end more than they compute. The sum is below TOTAL_LIMIT_MS.
 */
export const stages: readonly Stage[] = [
  { name: "typecheck", limitMs: 0.5 * MINUTE_MS, command: ["tsc", "--noEmit", "-p", "."] }, // 9
  { name: "lint", limitMs: 0.75 * MINUTE_MS, command: ["eslint", "."] }, // 30
  { name: "format", limitMs: 0.4 * MINUTE_MS, command: ["prettier", "--check", "--log-level=warn", "."] }, // 6 to 18
  {
    name: "unit",
    limitMs: 2.25 * MINUTE_MS, // 74
    files: ["test/unit/**/*.test.ts", "examples/*.test.ts"],
    testTimeoutMs: MINUTE_MS,
    concurrency: 2,
  },
  {
    name: "guard",
    limitMs: 0.35 * MINUTE_MS, // 5
    files: ["test/guard/**/*.test.ts"],
    testTimeoutMs: 3 * MINUTE_MS,
  },
  {
    name: "contract",
    limitMs: 1 * MINUTE_MS, // 34
    files: ["test/contract/**/*.test.ts"],
    testTimeoutMs: MINUTE_MS,
    concurrency: 2,
    needs: ["kafka"],
    sharedKafka: true,
  },
  {
    name: "integration",
    limitMs: 6.9 * MINUTE_MS, // 239
    files: ["test/integration/**/*.test.ts"],
    testTimeoutMs: 4 * MINUTE_MS,
    concurrency: 2,
    needs: ["kafka", "kcat", "mosquitto", "registry", "python-paho", "openssl"],
    sharedKafka: true,
  },
  {
    name: "browser",
    limitMs: 1.25 * MINUTE_MS, // 45
    files: ["test/browser/**/*.test.ts"],
    testTimeoutMs: 2 * MINUTE_MS,
    concurrency: 1,
    needs: ["chromium"],
  },
  {
    name: "faults",
    limitMs: 6.5 * MINUTE_MS, // 375
    files: ["test/faults/**/*.test.ts"],
    testTimeoutMs: 4 * MINUTE_MS,
    concurrency: 2,
    needs: ["kafka", "kcat", "mosquitto"],
    sharedKafka: true,
  },
];

/** What a stage leaves of its limit is for those after it, so that together they keep to the sum of the limits. */
export class TimeBudget {
  #leftMs = 0;

  limitOf(stage: Stage): number {
    return stage.limitMs + this.#leftMs;
  }

  used(stage: Stage, ms: number): void {
    this.#leftMs = Math.max(0, this.limitOf(stage) - ms);
  }
}

/** The stages that `--only a,b` names, in the order above; all without it. Throws on an unknown name. */
export function selectStages(only: string | undefined): readonly Stage[] {
  if (only === undefined) return stages;
  const names = only.split(",");
  const unknown = names.filter((name) => !stages.some((stage) => stage.name === name));
  if (unknown.length > 0) throw new Error(`unknown stage ${unknown.join(", ")}; there are ${stages.map((stage) => stage.name).join(", ")}`);
  return stages.filter((stage) => names.includes(stage.name));
}
