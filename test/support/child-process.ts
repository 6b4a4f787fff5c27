import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { closeSync, openSync } from "node:fs";

/** util-linux: makes the kernel kill the child when this process dies, however it dies. Absent on macOS. */
const hasSetpriv = spawnSync("setpriv", ["--version"], { stdio: "ignore" }).status === 0;

export interface ChildOptions {
  /** On top of this process's; undefined takes a variable away. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /** Output goes to this file (appended) instead of pipes. */
  readonly logFile?: string;
  /** "inherit": the child writes where we do. Default: pipes, for the caller to read. */
  readonly output?: "inherit";
  /** The child does not keep this process alive. Needs `logFile`. */
  readonly background?: boolean;
}

export interface ExitStatus {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A child process that cannot outlive this one. */
export interface GuardedChild {
  readonly pid: number;
  readonly process: ChildProcess;
  /** Resolves when the process has ended; never rejects. */
  readonly exited: Promise<ExitStatus>;
  readonly running: () => boolean;
  /** SIGTERM, then SIGKILL after `graceMs` (default 15 s). */
  stop(graceMs?: number): Promise<ExitStatus>;
  kill(signal?: NodeJS.Signals): Promise<ExitStatus>;
}

export async function spawnGuarded(command: string, args: readonly string[], options: ChildOptions = {}): Promise<GuardedChild> {
  const argv = hasSetpriv ? ["setpriv", "--pdeathsig", "KILL", command, ...args] : [command, ...args];
  const log = options.logFile === undefined ? undefined : openSync(options.logFile, "a");
  const child = spawn(argv[0], argv.slice(1), {
    stdio: ["ignore", log ?? options.output ?? "pipe", log ?? options.output ?? "pipe"],
    env: { ...process.env, ...options.env },
    cwd: options.cwd,
  });
  if (log !== undefined) closeSync(log);
  const exited = new Promise<ExitStatus>((resolve) => {
    child.once("exit", (code, signal) => {
      resolve({ code, signal });
    });
  });
  await new Promise<void>((resolve, reject) => {
    child.once("spawn", resolve);
    child.once("error", reject);
  });
  if (options.background === true) child.unref();
  const pid = child.pid ?? 0;
  const running = () => child.exitCode === null && child.signalCode === null;
  const send = (signal: NodeJS.Signals) => {
    if (running()) process.kill(pid, signal);
  };
  return {
    pid,
    process: child,
    exited,
    running,
    async stop(graceMs = 15_000) {
      send("SIGTERM");
      const timer = setTimeout(() => {
        send("SIGKILL");
      }, graceMs);
      const status = await exited;
      clearTimeout(timer);
      return status;
    },
    kill(signal = "SIGKILL") {
      send(signal);
      return exited;
    },
  };
}
