/** CPU time and memory of another process, from /proc (Linux). */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

const TICKS_PER_SECOND = Number(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" }));

/** User and system time so far, in seconds; of all its threads. */
export function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1].split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

export interface ResidentMemory {
  readonly rssMiB: number;
  /** Memory that the kernel cannot take back, and mapped files. */
  readonly anonMiB: number;
  readonly fileMiB: number;
}

export function residentMemory(pid: number): ResidentMemory {
  return { rssMiB: statusMiB(pid, "VmRSS"), anonMiB: statusMiB(pid, "RssAnon"), fileMiB: statusMiB(pid, "RssFile") };
}

/** The most resident memory it ever had, in MiB. */
export function peakRssMiB(pid: number): number {
  return statusMiB(pid, "VmHWM");
}

/** NaN where the kernel does not say. */
function statusMiB(pid: number, field: string): number {
  const line = new RegExp(`${field}:\\s+(\\d+) kB`).exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return line === null ? NaN : Math.round(Number(line[1]) / 1024);
}
