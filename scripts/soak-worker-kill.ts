/**
 * The long form of test/faults/worker-kill.test.ts. Prints a table and, as its last line, JSON. Exit code 1 when a record was
 * lost or doubled, or a worker threw its state away.
 *
 *     npm run soak:worker-kill -- [--kills 100] [--seed 1] [--minutes 0]
 *
 * `--kills` are those of one round. Rounds with the next seeds follow until `--minutes` are over; the round that is under way
 * then is finished.
 */
import { Console } from "node:console";
import { parseArgs } from "node:util";
import { runWorkerKills, type WorkerKillFigures } from "../test/faults/worker-kill-run.ts";
import { totalOf } from "../test/faults/compare-records.ts";
import { CleanupList } from "../test/support/cleanup.ts";
import { startKafka } from "../test/support/kafka.ts";
import { need } from "../test/support/need.ts";

const { values } = parseArgs({
  options: {
    kills: { type: "string", default: "100" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    minutes: { type: "string", default: "0" },
  },
});

interface Row {
  readonly seed: number;
  readonly kills: number;
  readonly killsAtWork: number;
  readonly events: number;
  readonly compared: number;
  readonly lost: number;
  readonly doubled: number;
  readonly foreign: number;
  readonly rebuilds: number;
  readonly seconds: number;
}

function wholeNumber(name: "kills" | "seed" | "minutes", least: number): number {
  const value = Number(values[name]);
  if (!Number.isInteger(value) || value < least) throw new RangeError(`--${name} must be a whole number of at least ${least}`);
  return value;
}

function rowOf({ seed, kills, killsAtWork, events, rebuilds, outputs }: WorkerKillFigures, seconds: number): Row {
  return { seed, kills, killsAtWork, events, ...totalOf(Object.values(outputs)), rebuilds, seconds };
}

async function round(kills: number, seed: number): Promise<Row> {
  // A broker for each round: its disk is given back.
  const cleanup = new CleanupList();
  process.stderr.write(`seed ${seed}: ${kills} kills...\n`);
  const started = performance.now();
  try {
    const kafka = await startKafka(cleanup);
    const figures = await runWorkerKills(cleanup, { kafka, kills, seed });
    for (const { examples } of Object.values(figures.outputs)) for (const line of examples) process.stderr.write(`${line}\n`);
    return rowOf(figures, Math.round((performance.now() - started) / 1000));
  } finally {
    await cleanup.run();
  }
}

async function main(): Promise<void> {
  const [kills, firstSeed, minutes] = [wholeNumber("kills", 1), wholeNumber("seed", 0), wholeNumber("minutes", 0)];
  const missing = await need("kafka", "kcat");
  if (missing !== false) throw new Error(missing);
  const end = performance.now() + minutes * 60_000;
  const rows: Row[] = [];
  do rows.push(await round(kills, firstSeed + rows.length));
  while (performance.now() < end);
  const good = rows.every((row) => row.compared > 0 && row.lost + row.doubled + row.foreign + row.rebuilds === 0);
  new Console(process.stdout).table(rows);
  process.stdout.write(`${JSON.stringify({ good, rounds: rows })}\n`);
  process.exitCode = good ? 0 : 1;
}

await main();
