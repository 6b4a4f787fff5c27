/**
 * The one test that fails on a figure of speed: an event on a hot path costs no more than twice what bench/guard-expected.json says, in CPU time
 * and in bytes allocated, each as a ratio to a plain loop over the same events in the same process. `npm run bench:guard` prints the figures;
 * with `-- --write` it makes what is measured what is expected.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { GROSS_LOSS, grossLosses, medianRatios, type GuardRatios } from "../../bench/guard-ratios.ts";
import { runCommand } from "../support/run-command.ts";

const GUARD = fileURLToPath(new URL("../../bench/guard.ts", import.meta.url));
const EXPECTED = new URL("../../bench/guard-expected.json", import.meta.url);
/** Each in a process of its own: what a machine does once to a measurement it does not do three times. */
const ATTEMPTS = 3;
const ATTEMPT_TIMEOUT_MS = 60_000;

test("no hot path costs more than twice what is expected, against a plain loop in the same process", async (t) => {
  const { measured, ratios } = JSON.parse(readFileSync(EXPECTED, "utf8")) as {
    measured: { date: string; cpu: string };
    ratios: GuardRatios;
  };
  let losses: string[] = [];
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const { code, stdout, stderr } = await runCommand(process.execPath, [GUARD, "--json"], { timeoutMs: ATTEMPT_TIMEOUT_MS });
    assert.equal(code, 0, stderr);
    const now = JSON.parse(String(stdout)) as GuardRatios;
    for (const path of ["task", "ingress"] as const)
      t.diagnostic(
        `${path}: ${now[path].cpu} x the loop's CPU and ${now[path].bytes} x its bytes; ` +
          `${ratios[path].cpu} and ${ratios[path].bytes} on ${measured.cpu}, ${measured.date}`,
      );
    losses = grossLosses(now, ratios);
    if (losses.length === 0) return;
  }
  assert.fail(`in ${ATTEMPTS} measurements: ${losses.join("; ")}`);
});

test("a ratio is the median of the rounds', and one over twice the expected is a loss, named", () => {
  const reference = { cpuUs: 10, bytes: 100 };
  const rounds = [30, 20, 900].map((cpuUs) => ({ reference, task: { cpuUs, bytes: 250 } }));
  assert.deepEqual(medianRatios(rounds, "task"), { cpu: 3, bytes: 2.5 });
  const expected = { task: { cpu: 3, bytes: 2.5 }, ingress: { cpu: 1, bytes: 1 } };
  assert.deepEqual(grossLosses({ ...expected, task: { cpu: 3 * GROSS_LOSS, bytes: 2.5 } }, expected), []);
  assert.match(
    grossLosses({ ...expected, ingress: { cpu: 1, bytes: 2.01 } }, expected).join(),
    /^ingress: bytes .* 2\.01 .* 1 are expected$/,
  );
});
