import type { Requirement } from "../test/support/need.ts";

/** A part of `npm test`. Either a command of an installed package, or test files. */
export interface Stage {
  readonly name: string;
  /** What a run of it takes at the very most; it is then ended and counts as failed. */
  readonly limitMs: number;
  readonly command?: readonly string[];
  readonly files?: readonly string[];
  /** Longest single test. Default 60 s. */
  readonly testTimeoutMs?: number;
  /** Test files at the same time: two cores. Stages that start brokers and kill processes run alone (the default). */
  readonly concurrency?: number;
  /** Provided before the tests start, so that no test's time goes into an installation. */
  readonly needs?: readonly Requirement[];
  /** Starts one Kafka for all files of the stage. */
  readonly sharedKafka?: boolean;
}

const MINUTE_MS = 60_000;

/** Cheap first. The limits add up to more than CI's 20 minutes only when several are broken at once. */
export const stages: readonly Stage[] = [
  { name: "typecheck", limitMs: 3 * MINUTE_MS, command: ["tsc", "--noEmit", "-p", "."] },
  { name: "lint", limitMs: 4 * MINUTE_MS, command: ["eslint", "."] },
  { name: "format", limitMs: 2 * MINUTE_MS, command: ["prettier", "--check", "--log-level=warn", "."] },
  { name: "unit", limitMs: 5 * MINUTE_MS, files: ["test/unit/**/*.test.ts"], testTimeoutMs: MINUTE_MS, concurrency: 2 },
  {
    name: "contract",
    limitMs: 5 * MINUTE_MS,
    files: ["test/contract/**/*.test.ts"],
    testTimeoutMs: 2 * MINUTE_MS,
    concurrency: 2,
    needs: ["kafka"],
    sharedKafka: true,
  },
  {
    name: "integration",
    limitMs: 8 * MINUTE_MS,
    files: ["test/integration/**/*.test.ts"],
    testTimeoutMs: 4 * MINUTE_MS,
    concurrency: 2,
    needs: ["kafka", "kcat", "mosquitto", "registry", "python-paho"],
    sharedKafka: true,
  },
  {
    name: "browser",
    limitMs: 4 * MINUTE_MS,
    files: ["test/browser/**/*.test.ts"],
    testTimeoutMs: 2 * MINUTE_MS,
    concurrency: 1,
    needs: ["chromium"],
  },
  {
    name: "faults",
    limitMs: 8 * MINUTE_MS,
    files: ["test/faults/**/*.test.ts"],
    testTimeoutMs: 5 * MINUTE_MS,
    concurrency: 1,
    needs: ["kafka", "kcat", "mosquitto"],
    sharedKafka: true,
  },
];

/** The stages that `--only a,b` names, in the order above; all without it. Throws on an unknown name. */
export function selectStages(only: string | undefined): readonly Stage[] {
  if (only === undefined) return stages;
  const names = only.split(",");
  const unknown = names.filter((name) => !stages.some((stage) => stage.name === name));
  if (unknown.length > 0) throw new Error(`unknown stage ${unknown.join(", ")}; there are ${stages.map((stage) => stage.name).join(", ")}`);
  return stages.filter((stage) => names.includes(stage.name));
}
