import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { spawnGuarded } from "../test/support/child-process.ts";
import { CleanupList } from "../test/support/cleanup.ts";
import { tempDir } from "../test/support/temp-dir.ts";
import type { Counts, Failure, Report } from "./count-reporter.ts";
import type { Stage } from "./test-stages.ts";

export interface StageResult {
  readonly name: string;
  readonly ok: boolean;
  /** There were no test files. */
  readonly empty: boolean;
  readonly durationMs: number;
  /** Of a stage of tests that came to its end. */
  readonly counts?: Counts;
  readonly failures?: readonly Failure[];
  readonly problem?: string;
}

/** The stage's test files that exist; undefined for a stage that is a command. */
export function stageFiles(stage: Stage, root: string): string[] | undefined {
  return stage.files?.flatMap((pattern) => globSync(pattern, { cwd: root })).sort();
}

/** Runs one stage with its output on ours, for `limitMs` at most. Never rejects for a failing check; that is a result. */
export async function runStage(stage: Stage, root: string, limitMs: number): Promise<StageResult> {
  const cleanup = new CleanupList();
  const reportFile = join(tempDir(cleanup, "report"), "report.json");
  const args =
    stage.command === undefined ? testArguments(stage, stageFiles(stage, root) ?? [], reportFile) : commandArguments(root, stage.command);
  const started = performance.now();
  const child = await spawnGuarded(process.execPath, args, { cwd: root, output: "inherit" });
  let overran = false;
  const timer = setTimeout(() => {
    overran = true;
    void child.stop(2_000);
  }, limitMs);
  const status = await child.exited;
  clearTimeout(timer);
  const report = stage.command === undefined ? readReport(reportFile) : undefined;
  await cleanup.run();
  return {
    name: stage.name,
    ok: status.code === 0,
    empty: false,
    durationMs: performance.now() - started,
    counts: report?.counts,
    failures: report?.failures,
    problem: overran ? `ended after ${Math.round(limitMs / 1000)} s` : undefined,
  };
}

function commandArguments(root: string, [command, ...args]: readonly string[]): string[] {
  return [join(root, "node_modules", ".bin", command), ...args];
}

function testArguments(stage: Stage, files: readonly string[], reportFile: string): string[] {
  return [
    "--test",
    "--disable-warning=TimeoutNegativeWarning",
    `--test-timeout=${stage.testTimeoutMs ?? 60_000}`,
    `--test-concurrency=${stage.concurrency ?? 1}`,
    "--test-reporter=spec",
    "--test-reporter-destination=stdout",
    "--test-reporter=./scripts/count-reporter.ts",
    `--test-reporter-destination=${reportFile}`,
    ...files,
  ];
}

function readReport(file: string): Report | undefined {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Report;
  } catch {
    // The run was ended before its summary; its exit code says so.
    return undefined;
  }
}
