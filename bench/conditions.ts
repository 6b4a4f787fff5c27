/** What a figure was measured on: printed with every result. */
import { readFileSync } from "node:fs";
import { availableParallelism, loadavg, totalmem } from "node:os";

export function conditions(extra: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  const cpu = /model name\s*:\s*(.*)/.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1] ?? "unknown";
  return {
    date: new Date().toISOString(),
    node: process.version,
    cpu,
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 1024 ** 3),
    loadAtStart: loadavg()[0],
    ...extra,
  };
}
