/**
 * What an event costs as one thing grows and all others stay: devices, partitions, metrics, bytes of the payload. Each cell is a process of its own
 * (`bench/task.ts`: the job's tasks without a log, state in memory); state larger than memory is `bench:devices`. About five minutes.
 *
 *     npm run bench:growth -- [--events 400000] [--of devices,partitions,metrics,payload-bytes]
 */
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { conditions } from "./conditions.ts";
import { report } from "./report.ts";
import type { TaskRunFigures } from "./task-run.ts";

const { values } = parseArgs({
  options: { events: { type: "string", default: "400000" }, of: { type: "string", default: "devices,partitions,metrics,payload-bytes" } },
});
const TASK = fileURLToPath(new URL("task.ts", import.meta.url));
const BASE = { devices: 10_000, partitions: 4, metrics: 2, "payload-bytes": 93 };
const STEPS: Readonly<Record<keyof typeof BASE, readonly number[]>> = {
  devices: [10, 100, 1_000, 10_000, 100_000, 1_000_000],
  partitions: [1, 4, 16, 64],
  metrics: [1, 2, 5, 10],
  "payload-bytes": [93, 1_000, 10_000],
};
const COMMIT_EVERY = 50_000;
/** What a worker with default settings gathers before it commits, about. */
const COMMIT_BYTES = 16_000_000;
/** It is in memory before a cell begins. */
const MAX_BACKLOG_BYTES = 1_000_000_000;

function cell(given: typeof BASE): TaskRunFigures {
  const events = Math.min(Number(values.events), MAX_BACKLOG_BYTES / given["payload-bytes"]);
  const samples = Math.max(2, Math.ceil(events / given.devices));
  const commitEvery = Math.min(COMMIT_EVERY, COMMIT_BYTES / given["payload-bytes"]);
  const options = Object.entries({ ...given, samples, "commit-every": commitEvery }).flatMap(([name, value]) => [
    `--${name}`,
    String(value),
  ]);
  const output = execFileSync(process.execPath, [TASK, "--json", ...options], { encoding: "utf8", maxBuffer: 1 << 20 });
  return JSON.parse(output) as TaskRunFigures;
}

report.log(JSON.stringify(conditions(BASE)));
for (const name of values.of.split(",") as (keyof typeof BASE)[]) {
  const rows = STEPS[name].map((step): [string, object] => {
    const { events, cpuS, processUsPerEvent, commitUsPerEvent, bytesPerEvent } = cell({ ...BASE, [name]: step });
    const cpuUsPerEvent = Math.round((cpuS / events) * 1e8) / 100;
    return [`${step} ${name}`, { events, cpuUsPerEvent, processUsPerEvent, commitUsPerEvent, bytesPerEvent }];
  });
  report.table(Object.fromEntries(rows));
}
