import { execFile } from "node:child_process";

export interface CommandResult {
  readonly code: number;
  readonly stdout: Buffer;
  readonly stderr: string;
}

/** Bytes of output one command may give (a topic of a million records through kcat). */
const MAX_OUTPUT_BYTES = 1024 * 1024 * 1024;

/** Runs a command to its end without a shell; rejects only when it cannot be started or runs past `timeoutMs`. */
export function runCommand(
  command: string,
  args: readonly string[],
  options: { timeoutMs: number; env?: Record<string, string>; cwd?: string },
): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    execFile(
      command,
      args,
      {
        encoding: "buffer",
        timeout: options.timeoutMs,
        killSignal: "SIGKILL",
        maxBuffer: MAX_OUTPUT_BYTES,
        env: { ...process.env, ...options.env },
        cwd: options.cwd,
      },
      (error, stdout, stderr) => {
        if (error !== null && typeof error.code !== "number") {
          reject(
            new Error(`${command} ${error.killed === true ? `ran past ${options.timeoutMs} ms` : "failed"}: ${String(stderr)}`, {
              cause: error,
            }),
          );
          return;
        }
        resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr: String(stderr) });
      },
    );
  });
}
