/**
 * `npm test [-- --only unit,integration] [-- file ...]`: all checks of the repository, a summary, and as the last lines the
 * totals as node's own test runner prints them. Exit code 1 when anything failed. CI=true: nothing may be missing.
 */
import { relative } from "node:path";
import { parseArgs } from "node:util";
import { CleanupList } from "../test/support/cleanup.ts";
import { startKafka } from "../test/support/kafka.ts";
import { need } from "../test/support/need.ts";
import type { Counts } from "./count-reporter.ts";
import { runStage, stageFiles, type StageResult } from "./run-stage.ts";
import { selectStages, TimeBudget, type Stage } from "./test-stages.ts";

const root = new URL("..", import.meta.url).pathname;
const { values } = parseArgs({ options: { only: { type: "string" } }, allowPositionals: false });
const cleanup = new CleanupList();
const results: StageResult[] = [];

/** Once for all stages that want it; tests that need another kind of broker start their own. */
async function provideKafka(): Promise<void> {
  if (process.env.KAFKA_BROKERS !== undefined) return;
  const kafka = await startKafka(cleanup);
  process.env.KAFKA_BROKERS = kafka.bootstrapServers;
  process.stdout.write(`Kafka at ${kafka.bootstrapServers}\n`);
}

async function prepare(stage: Stage): Promise<void> {
  let missing = false;
  for (const requirement of stage.needs ?? []) missing = (await need(requirement)) !== false || missing;
  if (stage.sharedKafka === true && !missing) await provideKafka();
}

function total(key: keyof Counts): number {
  return results.reduce((sum, result) => sum + (result.counts?.[key] ?? 0), 0);
}

function printFailures(): void {
  for (const { name, failures = [] } of results) {
    for (const { test, file, error } of failures) {
      const where = file === undefined ? "" : ` (${relative(root, file)})`;
      process.stdout.write(`\nFAILED in ${name}: ${test}${where}\n  ${error.replaceAll("\n", "\n  ")}\n`);
    }
  }
}

function summarize(): void {
  printFailures();
  process.stdout.write("\n");
  for (const { name, ok, empty, durationMs, counts, problem } of results) {
    const detail =
      counts === undefined ? "" : `${counts.passed} passed, ${counts.failed + counts.cancelled} failed, ${counts.skipped} skipped`;
    const state = empty ? "none" : ok ? "ok" : "FAILED";
    process.stdout.write(
      `${state.padEnd(7)} ${name.padEnd(12)} ${(durationMs / 1000).toFixed(1).padStart(6)} s  ${detail}${problem ?? ""}\n`,
    );
  }
  process.stdout.write("\n");
  for (const [label, key] of Object.entries({
    tests: "tests",
    pass: "passed",
    fail: "failed",
    cancelled: "cancelled",
    skipped: "skipped",
  } as const)) {
    process.stdout.write(`ℹ ${label} ${total(key)}\n`);
  }
  const checks = results.filter((result) => result.counts === undefined && !result.empty);
  process.stdout.write(`ℹ checks ${checks.length}, failed ${checks.filter((result) => !result.ok).length}\n`);
}

async function main(): Promise<void> {
  const budget = new TimeBudget();
  for (const stage of selectStages(values.only)) {
    if (stageFiles(stage, root)?.length === 0) {
      results.push({ name: stage.name, ok: true, empty: true, durationMs: 0 });
      continue;
    }
    process.stdout.write(`\n== ${stage.name}\n`);
    const started = performance.now();
    try {
      await prepare(stage);
      results.push(await runStage(stage, root, budget.limitOf(stage)));
    } catch (error) {
      const problem = error instanceof Error ? error.message : String(error);
      process.stdout.write(`${problem}\n`);
      results.push({ name: stage.name, ok: false, empty: false, durationMs: performance.now() - started, problem });
    }
    budget.used(stage, performance.now() - started);
  }
  await cleanup.run();
  summarize();
  process.exitCode = results.every((result) => result.ok) ? 0 : 1;
}

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    void cleanup.run().finally(() => process.exit(1));
  });
}
await main();
