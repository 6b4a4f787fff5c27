/**
 * The job's task alone: decode, dedupe, windows, rules, output and changelog encoding, no log. What a worker can do at best.
 *
 *     node bench/task.ts [--devices 10000] [--samples 50] [--commit-every 20000] [--partitions 1] [--metrics 2] [--payload-bytes 0]
 *         [--job peers]      what the peers do and no more (peer-topology.ts), in place of the whole IoT job
 *         [--by-commit]      CPU ms from commit to commit as well: what the start costs, and windows that close
 */
import { parseArgs } from "node:util";
import { conditions } from "./conditions.ts";
import { report } from "./report.ts";
import { recentBaseMs, streamData } from "./stream-data.ts";
import { runTasks } from "./task-run.ts";

const { values } = parseArgs({
  options: {
    devices: { type: "string", default: "10000" },
    samples: { type: "string", default: "50" },
    "commit-every": { type: "string", default: "20000" },
    partitions: { type: "string", default: "1" },
    metrics: { type: "string", default: "2" },
    "payload-bytes": { type: "string", default: "0" },
    job: { type: "string", default: "iot" },
    "by-commit": { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  },
});
const shape = { metrics: Number(values.metrics), payloadBytes: Number(values["payload-bytes"]) };
const data = streamData(Number(values.devices), Number(values.samples), recentBaseMs(), shape);
const byCommit: number[] = [];
const figures = await runTasks(data, {
  partitions: Number(values.partitions),
  commitEvery: Number(values["commit-every"]),
  job: values.job,
  onCommit: (cpuMs) => byCommit.push(Math.round(cpuMs)),
});
if (values.json) report.log(JSON.stringify(figures));
else {
  report.log(JSON.stringify(conditions()));
  report.table({ task: figures });
  if (values["by-commit"]) report.log(byCommit.join(" "));
}
