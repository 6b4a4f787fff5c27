/** CPU time and memory of another process, and what the host took of the machine's, from /proc (Linux). */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

const TICKS_PER_SECOND = Number(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" }));

/** User and system time so far, in seconds; of all its threads. */
export function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1].split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** Place of "steal" among the numbers of /proc/stat's first line; the two after it are counted in earlier ones. */
const STEAL = 7;

/**
 * A virtual machine's processors are not always its own: begins to count, and the function returned tells how much of the time of all
 * processors, idle or not, the host has given to others meanwhile. Percent.
 */
export function countStolen(): () => number {
  const before = processorTicks();
  return () => {
    const ticks = processorTicks().map((now, i) => now - before[i]);
    return Math.round((100 * ticks[STEAL]) / ticks.reduce((sum, one) => sum + one, 0));
  };
}

function processorTicks(): number[] {
  const [line] = readFileSync("/proc/stat", "utf8").split("\n", 1);
  return line
    .trim()
    .split(/\s+/)
    .slice(1, STEAL + 2)
    .map(Number);
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
