import { commandContext, type CommonOptions } from "../command-options.ts";
import { envName } from "../config/leaves.ts";
import { workerCount } from "../workers/shares.ts";

export interface WorkerCommandOptions extends CommonOptions {
  /** Over `processing.workers`. */
  readonly workers?: string;
  /** Set by a supervisor: which of its workers this is. */
  readonly supervised?: number;
}

/** `sluice worker`: processes telemetry on Kafka and serves the HTTP API, until it is told to stop. With several workers, in as many processes. */
export async function run(options: WorkerCommandOptions): Promise<number> {
  const { workers, supervised } = options;
  if (supervised !== undefined) return runSupervised(options, supervised);
  const env = workers === undefined ? undefined : { [envName(["processing", "workers"])]: workers };
  const { config, logger } = commandContext(options, { env });
  const count = workerCount(config);
  if (count === 1) return (await import("../workers/run-worker.ts")).runWorker(config, logger);
  const args = [...(options.config === undefined ? [] : ["--config", options.config]), ...(options.json === true ? ["--json"] : [])];
  return (await import("../workers/supervise.ts")).superviseWorkers(config, count, args, logger);
}

async function runSupervised(options: WorkerCommandOptions, index: number): Promise<number> {
  const { joinSupervisor } = await import("../workers/supervised.ts");
  const supervisor = joinSupervisor();
  try {
    const { config, logger } = commandContext(options, { logBase: { worker: index } });
    const { runWorker } = await import("../workers/run-worker.ts");
    return await runWorker(config, logger, supervisor);
  } catch (error) {
    await supervisor.failed(error);
    throw error;
  } finally {
    supervisor.leave();
  }
}
