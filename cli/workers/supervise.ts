/** `sluice worker` with several workers: this process starts them and looks after them. */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Logger } from "pino";
import type { Config } from "../config/schema.ts";
import { runService } from "../service.ts";
import { memoryShareMiB, workerShares } from "./shares.ts";
import { KILL_AFTER_MS, WorkerSupervisor } from "./supervisor.ts";

const MAIN = fileURLToPath(new URL("../main.ts", import.meta.url));
/** After the workers' own. Below the 30 s that container runtimes grant. */
const STOP_TIMEOUT_MS = KILL_AFTER_MS + 2_000;
/** A worker without a heartbeat for one session is out of its group; for two, it does not come back in time for its tasks' next owners. */
const SILENT_SESSIONS = 2;

/**
 * Runs until a signal, or until a worker ends for good. Returns the worst exit code.
 * @param args the command line's, for each worker
 */
export async function superviseWorkers(config: Config, count: number, args: readonly string[], logger: Logger): Promise<number> {
  const shares = workerShares(config, count, "for several workers");
  const supervisor = new WorkerSupervisor({
    shares,
    // its log is ours: a pipe through this process would end with it
    spawn: ({ index, env }) =>
      spawn(process.execPath, [...process.execArgv, MAIN, "worker", "--supervised", String(index), ...args], {
        stdio: ["ignore", "inherit", "inherit", "ipc"],
        env: { ...process.env, ...env },
      }),
    maxSilentPings: Math.ceil((SILENT_SESSIONS * config.kafka.sessionTimeoutMs) / 1_000),
    logger,
  });
  const memory = memoryShareMiB(config, count);
  logger.info(
    { workers: count, memoryMiBOfEach: memory ?? "the default", stateDir: config.state.dir },
    "starting workers, which share the state directory",
  );
  const exitCode = await runService(
    (closers) => {
      closers.push("workers", () => supervisor.stop());
      supervisor.start();
      return Promise.resolve({ finished: supervisor.finished });
    },
    { logger, stopTimeoutMs: STOP_TIMEOUT_MS },
  );
  return Math.max(exitCode, supervisor.exitCode);
}
