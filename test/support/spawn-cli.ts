import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { stringify } from "yaml";
import { COMPILE_CACHE_ENV, MALLOC_ENV, NODE_FLAGS } from "../../scripts/bootstrap-lib.mjs";
import type { Cleanup } from "./cleanup.ts";
import { spawnGuarded, type ExitStatus } from "./child-process.ts";
import { tempDir } from "./temp-dir.ts";
import { waitFor } from "./wait-for.ts";

const MAIN = fileURLToPath(new URL("../../cli/main.ts", import.meta.url));
/** Output kept per stream; older text is forgotten. */
const MAX_OUTPUT_CHARS = 4 * 1024 * 1024;

export interface CliOptions {
  /** Written as YAML and passed with --config. */
  readonly config?: Readonly<Record<string, unknown>>;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** A program that takes the same arguments. Default: ours. */
  readonly main?: string;
}

export interface CliProcess {
  readonly pid: number;
  /** Resolves when the process has ended, with all its output read. */
  readonly exited: Promise<ExitStatus>;
  stdout(): string;
  stderr(): string;
  running(): boolean;
  /** Waits until stdout or stderr matches; fails at once when the process ends first. */
  waitForOutput(pattern: RegExp, deadlineMs?: number): Promise<RegExpMatchArray>;
  /** SIGTERM (SIGKILL after 15 s). */
  stop(): Promise<ExitStatus>;
  kill(signal?: NodeJS.Signals): Promise<ExitStatus>;
  /** SIGSTOP and SIGCONT. */
  freeze(): void;
  thaw(): void;
}

/** More than a service gives itself (STOP_TIMEOUT_MS in cli/service.ts): it ends by itself, or something is wrong. */
const STOP_GRACE_MS = 30_000;

/** Starts `sluice <args>` as users do, with this Node, in a process that dies with the test. */
export async function spawnCli(t: Cleanup, args: readonly string[], options: CliOptions = {}): Promise<CliProcess> {
  const config: string[] = [];
  if (options.config !== undefined) {
    const file = join(tempDir(t, "cli"), "sluice.yaml");
    writeFileSync(file, stringify(options.config));
    config.push("--config", file);
  }
  const child = await spawnGuarded(process.execPath, [...NODE_FLAGS, options.main ?? MAIN, ...args, ...config], {
    env: { ...MALLOC_ENV, ...COMPILE_CACHE_ENV, ...withoutSettings(), ...options.env },
    cwd: options.cwd,
  });
  const output = { stdout: "", stderr: "" };
  const closed = ["stdout", "stderr"].map((name) => collect(name as "stdout" | "stderr"));
  const exited = Promise.all([child.exited, ...closed]).then(([status]) => status);

  function collect(name: "stdout" | "stderr"): Promise<void> {
    const stream = child.process[name];
    if (stream === null) return Promise.resolve();
    stream.setEncoding("utf8");
    stream.on("data", (text: string) => {
      output[name] = (output[name] + text).slice(-MAX_OUTPUT_CHARS);
    });
    return new Promise((resolve) => {
      stream.once("close", resolve);
    });
  }
  const signal = (name: NodeJS.Signals) => {
    if (child.running()) process.kill(child.pid, name);
  };
  const stop = async () => {
    signal("SIGCONT");
    await child.stop(STOP_GRACE_MS);
    return exited;
  };
  t.after(async () => {
    await stop();
  });
  return {
    pid: child.pid,
    exited,
    stdout: () => output.stdout,
    stderr: () => output.stderr,
    running: child.running,
    async waitForOutput(pattern, deadlineMs = 30_000) {
      let ended = false;
      const match = await waitFor(
        `sluice ${args.join(" ")} prints ${String(pattern)}`,
        () => {
          const found = output.stdout.match(pattern) ?? output.stderr.match(pattern);
          ended = found === null && !child.running();
          return found ?? ended;
        },
        { deadlineMs },
      );
      if (match === true) throw new Error(`sluice ${args.join(" ")} ended: ${output.stderr}${output.stdout}`);
      return match;
    },
    stop,
    async kill(name) {
      await child.kill(name);
      return exited;
    },
    freeze: () => {
      signal("SIGSTOP");
    },
    thaw: () => {
      signal("SIGCONT");
    },
  };
}

/** Variables of the test run (SLUICE_CACHE) and of its user are no settings of the process under test. */
function withoutSettings(): Record<string, undefined> {
  return Object.fromEntries(Object.keys(process.env).flatMap((name) => (name.startsWith("SLUICE_") ? [[name, undefined]] : [])));
}

/** Runs `sluice <args>` to its end (at most 60 s) and returns what it said. */
export async function runCli(
  t: Cleanup,
  args: readonly string[],
  options: CliOptions = {},
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const cli = await spawnCli(t, args, options);
  const timer = setTimeout(() => void cli.kill("SIGKILL"), 60_000);
  const status = await cli.exited;
  clearTimeout(timer);
  return { code: status.code, stdout: cli.stdout(), stderr: cli.stderr() };
}
