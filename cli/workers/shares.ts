/** What each of several workers on one host is given of the one configuration. */
import { availableParallelism } from "node:os";
import { minMemoryMiB } from "../../runtime/memory-budget.ts";
import { ConfigError, type ConfigIssue } from "../config/errors.ts";
import { envName } from "../config/leaves.ts";
import type { Config } from "../config/schema.ts";

export interface WorkerShare {
  /** From 0. */
  readonly index: number;
  /** Settings over the configuration's, as environment variables. */
  readonly env: Readonly<Record<string, string>>;
}

const MAX_PORT = 65_535;

/** `auto`: one for each core that this process may use. */
export function workerCount({ processing: { workers } }: Config, cores = availableParallelism()): number {
  return workers === "auto" ? cores : workers;
}

/**
 * The first keeps instance id, port and advertised URL as they are; the others count on from there. The state directory is the same for all:
 * tasks are locked one by one, a task that moves between these workers finds its state, and so it does when there are more or fewer of them.
 * @param source of the configuration, for the error
 * @throws ConfigError for settings that cannot be shared out
 */
export function workerShares(config: Config, count: number, source: string): WorkerShare[] {
  const issues = problems(config, count);
  if (issues.length > 0) throw new ConfigError(source, issues);
  return Array.from({ length: count }, (_, index) => ({ index, env: environment(config, count, index) }));
}

/** Of `processing.memoryMiB`, for each; undefined: each has the default. */
export function memoryShareMiB({ processing: { memoryMiB } }: Config, count: number): number | undefined {
  return memoryMiB === undefined ? undefined : Math.floor(memoryMiB / count);
}

function problems(config: Config, count: number): ConfigIssue[] {
  const { http, state } = config;
  const issues: ConfigIssue[] = [];
  const share = memoryShareMiB(config, count);
  const least = minMemoryMiB(state.cacheMiB);
  if (share !== undefined && share < least)
    issues.push({
      path: "processing.memoryMiB",
      message: `must be at least ${least * count}: ${least} for each of ${count} workers with state.cacheMiB ${state.cacheMiB}`,
    });
  if (http.port + count - 1 > MAX_PORT) issues.push({ path: "http.port", message: `leaves no ports for ${count} workers` });
  if (http.advertised !== undefined) {
    const port = Number(new URL(http.advertised).port);
    if (http.port === 0 || port === 0)
      issues.push({ path: "http.advertised", message: "must name a port, and http.port too: each of several workers has its own" });
    else if (port + count - 1 > MAX_PORT) issues.push({ path: "http.advertised", message: `leaves no ports for ${count} workers` });
  }
  return issues;
}

function environment(config: Config, count: number, index: number): Record<string, string> {
  const { http, instanceId } = config;
  const settings: [path: string[], value: string | number | undefined][] = [
    [["processing", "workers"], 1],
    [["processing", "memoryMiB"], memoryShareMiB(config, count)],
    // a dot: names of pods and services have none, so that no other host's id is met
    [["instanceId"], instanceId === undefined || index === 0 ? instanceId : `${instanceId}.${index}`],
    [["http", "port"], http.port === 0 ? 0 : http.port + index],
    [["http", "advertised"], http.advertised === undefined ? undefined : portsOn(http.advertised, index)],
  ];
  return Object.fromEntries(settings.flatMap(([path, value]) => (value === undefined ? [] : [[envName(path), String(value)]])));
}

function portsOn(url: string, by: number): string {
  const moved = new URL(url);
  moved.port = String(Number(moved.port) + by);
  return moved.href.replace(/\/$/, "");
}
