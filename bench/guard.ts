/**
 * What an event costs on the hot paths, in CPU time and in bytes allocated, as ratios to a plain loop in the same process: a figure that means
 * the same on other machines. The stage `guard` of `npm test` holds them against bench/guard-expected.json (test/guard/). 5 s.
 *
 *     npm run bench:guard [-- --write | --json]
 *
 * Rounds alternate between the paths and the loop; the median counts. Allocation is what the heap and array buffers grow by in one round,
 * which needs a young generation that a round does not fill, so this starts itself again with one.
 */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { conditions } from "./conditions.ts";
import { ingressPath, referencePath, taskPath, type Path } from "./guard-paths.ts";
import { medianRatios, type Cost, type GuardRatios } from "./guard-ratios.ts";
import { report } from "./report.ts";
import type { RawEvent } from "../test/support/telemetry.ts";
import { recentBaseMs, streamData } from "./stream-data.ts";

const EXPECTED = new URL("guard-expected.json", import.meta.url);
const FLAGS = ["--expose-gc", "--min-semi-space-size=64", "--max-semi-space-size=64"];
const DEVICES = 1_000;
const EVENTS_PER_ROUND = 10_000;
/** Windows have begun to close by then, and what is hot is compiled. */
const WARM_UP_ROUNDS = 6;
const ROUNDS = 9;

const { values } = parseArgs({ options: { write: { type: "boolean" }, json: { type: "boolean" } } });
if (globalThis.gc === undefined) {
  const { status } = spawnSync(process.execPath, [...FLAGS, fileURLToPath(import.meta.url), ...process.argv.slice(2)], {
    stdio: "inherit",
  });
  process.exitCode = status ?? 1;
} else await main(globalThis.gc);

async function main(collectGarbage: NodeJS.GCFunction): Promise<void> {
  const slices = [...streamSlices()];
  const paths = { reference: referencePath(slices), task: await taskPath(slices), ingress: ingressPath(slices) };
  const rounds: Record<keyof typeof paths, Cost>[] = [];
  for (let n = 0; n < WARM_UP_ROUNDS + ROUNDS; n++) {
    const measure = (path: Path): Cost => costOf(() => path(n), collectGarbage);
    const round = { reference: measure(paths.reference), task: measure(paths.task), ingress: measure(paths.ingress) };
    if (n >= WARM_UP_ROUNDS) rounds.push(round);
    await new Promise((resolve) => setImmediate(resolve));
  }
  const ratios = { task: medianRatios(rounds, "task"), ingress: medianRatios(rounds, "ingress") };
  tell(ratios, rounds);
}

function tell(ratios: GuardRatios, rounds: readonly Record<string, Cost>[]): void {
  if (values.json === true) return report.log(JSON.stringify(ratios));
  const perEvent = (path: string): Cost => {
    const middle = [...rounds].sort((a, b) => a[path].cpuUs - b[path].cpuUs)[rounds.length >> 1][path];
    return { cpuUs: middle.cpuUs / EVENTS_PER_ROUND, bytes: Math.round(middle.bytes / EVENTS_PER_ROUND) };
  };
  report.log(JSON.stringify(conditions()));
  report.table({ "reference loop": perEvent("reference"), task: perEvent("task"), ingress: perEvent("ingress") });
  report.table(ratios);
  if (values.write === true) writeFileSync(EXPECTED, `${JSON.stringify({ measured: conditions(), ratios }, undefined, 2)}\n`);
}

function* streamSlices(): Generator<RawEvent[]> {
  const rounds = WARM_UP_ROUNDS + ROUNDS;
  const events = [...streamData(DEVICES, Math.ceil((rounds * EVENTS_PER_ROUND) / DEVICES), recentBaseMs()).events()];
  for (let n = 0; n < rounds; n++) yield events.slice(n * EVENTS_PER_ROUND, (n + 1) * EVENTS_PER_ROUND);
}

function costOf(run: () => number, collectGarbage: NodeJS.GCFunction): Cost {
  // the second ends what the first still does in the background: giving back array buffers
  for (let i = 0; i < 2; i++) collectGarbage({ type: "minor", execution: "sync" });
  const memory = process.memoryUsage();
  const before = process.cpuUsage();
  const events = run();
  const { user, system } = process.cpuUsage(before);
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  // most, not all: an acknowledgement may wait for the rest of a packet
  if (events < EVENTS_PER_ROUND * 0.9) throw new Error(`only ${events} events came through`);
  return { cpuUs: user + system, bytes: heapUsed - memory.heapUsed + arrayBuffers - memory.arrayBuffers };
}
