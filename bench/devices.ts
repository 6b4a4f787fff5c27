/**
 * State larger than the cache: the whole job's task (as bench/task.ts, no broker) over the state of so many devices, each
 * event of a device picked evenly at random. Checkpoints as in a worker. Each cell is a process of its own (devices-cell.ts).
 *
 *     npm run bench:devices -- [--devices 10000,100000,1000000,5000000] [--engines level,rocksdb] [--events 400000] [--json]
 */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";
import { conditions } from "./conditions.ts";
import { report } from "./report.ts";

const { values } = parseArgs({
  options: {
    devices: { type: "string", default: "10000,100000,1000000,5000000" },
    engines: { type: "string", default: "level,rocksdb" },
    events: { type: "string", default: "400000" },
    json: { type: "boolean", default: false },
  },
});

interface Cell {
  readonly devices: number;
  readonly engine: string;
  readonly eventsPerSecond: number;
  readonly eventsPerCpuSecond: number;
  readonly usPerEvent: number;
  readonly cpuUsPerEvent: number;
  readonly mainCpuUsPerEvent: number;
  readonly writeAmplification: number;
  readonly openMs: number;
  /** From then until the windows of before were found, with nothing else to do. */
  readonly indexMs: number;
  readonly peakRssMiB: number;
  readonly diskMiB: number;
}

const run = promisify(execFile);
const cells: (Cell & { readonly timesSmallest: number })[] = [];
for (const engine of values.engines.split(",")) {
  let smallest: Cell | undefined;
  for (const devices of values.devices.split(",")) {
    process.stderr.write(`${engine}, ${devices} devices...\n`);
    const script = fileURLToPath(new URL("./devices-cell.ts", import.meta.url));
    const { stdout } = await run(process.execPath, [script, "--devices", devices, "--engine", engine, "--events", values.events]);
    process.stderr.write(stdout);
    const cell = JSON.parse(stdout) as Cell;
    smallest ??= cell;
    cells.push({ ...cell, timesSmallest: Math.round((cell.usPerEvent / smallest.usPerEvent) * 100) / 100 });
  }
}
const columns: readonly (keyof (typeof cells)[number])[] = [
  "eventsPerSecond",
  "eventsPerCpuSecond",
  "usPerEvent",
  "timesSmallest",
  "cpuUsPerEvent",
  "mainCpuUsPerEvent",
  "writeAmplification",
  "openMs",
  "indexMs",
  "peakRssMiB",
  "diskMiB",
];
if (values.json) report.log(JSON.stringify({ conditions: conditions(), cells }));
else {
  report.log(conditions());
  report.table(Object.fromEntries(cells.map((cell) => [`${cell.engine} ${cell.devices}`, cell])), columns);
}
