/**
 * The long form of the fault tests: all kinds of faults, mixed at random, on three brokers. Prints a table of rounds, the figures,
 * and as its last line JSON (--json: into a file too). Exit code 1 when a round failed; its logs, state and outputs are kept then,
 * and the command that repeats it is printed.
 *
 *     npm run soak:faults -- [--minutes 60] [--rounds 0] [--seed N] [--round-seconds 75] [--standbys 0] [--json FILE]
 *
 * Rounds with the next seeds follow until `--minutes` are over, or `--rounds` are done when that is above 0.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { Console } from "node:console";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect, parseArgs } from "node:util";
import { totalOf } from "../test/faults/compare-records.ts";
import { BROKERS, FAULT_KINDS, type FaultKind } from "../test/faults/soak/plan.ts";
import { runRound, type RoundFigures } from "../test/faults/soak/round.ts";
import { CleanupList } from "../test/support/cleanup.ts";
import { startKafka, type Kafka } from "../test/support/kafka.ts";
import { need } from "../test/support/need.ts";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "60" },
    rounds: { type: "string", default: "0" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    "round-seconds": { type: "string", default: "75" },
    standbys: { type: "string", default: "0" },
    json: { type: "string" },
  },
});

interface Row {
  readonly seed: number;
  readonly faults: number;
  readonly events: number;
  readonly compared: number;
  readonly lost: number;
  readonly doubled: number;
  readonly foreign: number;
  readonly rebuilds: number;
  readonly openTransactions: number;
  readonly coordinatorMoves: number;
  readonly longestGapMs: number;
  readonly peakRssMiB: number;
}

type Totals = Omit<Row, "seed" | "faults"> & { readonly rounds: number; readonly faults: Readonly<Partial<Record<FaultKind, number>>> };

function wholeNumber(name: "minutes" | "rounds" | "seed" | "round-seconds" | "standbys"): number {
  const value = Number(values[name]);
  if (!Number.isInteger(value) || value < 0) throw new RangeError(`--${name} must be a whole number, not negative`);
  return value;
}

function rowOf(seed: number, figures: RoundFigures): Row {
  const { events, rebuilds, openTransactions, coordinatorMoves, longestGapMs, peakRssMiB } = figures;
  return {
    seed,
    faults: Object.values(figures.faults).reduce((total, count) => total + count, 0),
    events,
    ...totalOf(Object.values(figures.outputs)),
    rebuilds,
    openTransactions,
    coordinatorMoves,
    longestGapMs: Math.round(longestGapMs),
    peakRssMiB,
  };
}

function isGood(row: Row): boolean {
  return row.compared > 0 && row.lost + row.doubled + row.foreign + row.rebuilds + row.openTransactions === 0;
}

function totalsOf(rows: readonly Row[], faults: Totals["faults"]): Totals {
  const sum = (key: keyof Row): number => rows.reduce((total, row) => total + row[key], 0);
  const most = (key: keyof Row): number => rows.reduce((greatest, row) => Math.max(greatest, row[key]), 0);
  return {
    rounds: rows.length,
    faults,
    events: sum("events"),
    compared: sum("compared"),
    lost: sum("lost"),
    doubled: sum("doubled"),
    foreign: sum("foreign"),
    rebuilds: sum("rebuilds"),
    openTransactions: sum("openTransactions"),
    coordinatorMoves: sum("coordinatorMoves"),
    longestGapMs: most("longestGapMs"),
    peakRssMiB: most("peakRssMiB"),
  };
}

class Soak {
  readonly #seconds = wholeNumber("round-seconds");
  readonly #standbys = wholeNumber("standbys");
  readonly #startedAt = performance.now();
  readonly rows: Row[] = [];
  readonly faults: Partial<Record<FaultKind, number>> = {};

  /** Returns whether it was good. */
  async round(kafka: Kafka, seed: number): Promise<boolean> {
    const dir = mkdtempSync(join(tmpdir(), `sluice-soak-${seed}-`));
    const cleanup = new CleanupList();
    const options = { kafka, seed, seconds: this.#seconds, standbys: this.#standbys, dir, say: (line: string) => this.#say(seed, line) };
    let good = false;
    try {
      const figures = await runRound(cleanup, options);
      const row = rowOf(seed, figures);
      this.rows.push(row);
      for (const kind of FAULT_KINDS) this.faults[kind] = (this.faults[kind] ?? 0) + (figures.faults[kind] ?? 0);
      for (const { examples } of Object.values(figures.outputs)) for (const line of examples) this.#say(seed, line);
      this.#say(seed, JSON.stringify(row));
      good = isGood(row);
    } catch (error) {
      this.#say(seed, inspect(error));
    }
    if (!good) this.#keepBrokerLogs(kafka, dir);
    await cleanup.run();
    if (good) rmSync(dir, { recursive: true, force: true });
    else
      this.#say(
        seed,
        `FAILED; kept: ${dir}\nrepeat: npm run soak:faults -- --rounds 1 --seed ${seed} --round-seconds ${this.#seconds} --standbys ${this.#standbys}`,
      );
    return good;
  }

  #keepBrokerLogs(kafka: Kafka, dir: string): void {
    for (let node = 0; node < BROKERS; node++) writeFileSync(join(dir, `broker-${node}.log`), kafka.log(node));
  }

  #say(seed: number, line: string): void {
    process.stderr.write(`[${Math.round((performance.now() - this.#startedAt) / 1000)} s, seed ${seed}] ${line}\n`);
  }
}

async function main(): Promise<void> {
  const [minutes, rounds, firstSeed] = [wholeNumber("minutes"), wholeNumber("rounds"), wholeNumber("seed")];
  const missing = await need("kafka", "kcat");
  if (missing !== false) throw new Error(missing);
  const cleanup = new CleanupList();
  const soak = new Soak();
  const end = performance.now() + minutes * 60_000;
  let good = true;
  try {
    const kafka = await startKafka(cleanup, { brokers: BROKERS, heapMiB: 384, proxied: true });
    let seed = firstSeed;
    do good = await soak.round(kafka, seed++);
    while (good && (rounds > 0 ? seed < firstSeed + rounds : performance.now() < end));
  } finally {
    await cleanup.run();
  }
  const out = new Console(process.stdout);
  out.table(soak.rows);
  const totals = totalsOf(soak.rows, soak.faults);
  const json = JSON.stringify({ good, firstSeed, ...totals, perRound: soak.rows });
  if (values.json !== undefined) writeFileSync(values.json, `${json}\n`);
  process.stdout.write(`${json}\n`);
  process.exitCode = good ? 0 : 1;
}

await main();
