/**
 * Several workers of one host as one service. It starts them, starts those again that end by themselves, and stops them; what they share
 * out among themselves is their group's business.
 */
import type { ChildProcess } from "node:child_process";
import type { Logger } from "pino";
import { EXIT } from "../exit-codes.ts";
import { RestartBudget } from "./restart-budget.ts";
import type { WorkerShare } from "./shares.ts";
import { WorkerProcess, type WorkerExit } from "./worker-process.ts";

/** A worker ends itself before (STOP_TIMEOUT_MS in cli/service.ts and a second for what is left open). */
export const KILL_AFTER_MS = 27_000;

/** Error codes that another start ends with too: a person must change something, or a person wants all workers to end. */
const FINAL_FAILURES = new Set([
  "wrong-topics",
  "unknown-topic",
  "topology-mismatch",
  "row-too-large",
  "too-little-memory",
  "application-shut-down",
]);

export interface SupervisorOptions {
  readonly shares: readonly WorkerShare[];
  /** Starts a worker with an IPC channel. */
  readonly spawn: (share: WorkerShare) => ChildProcess;
  readonly maxSilentPings: number;
  readonly logger: Logger;
  readonly killAfterMs?: number;
}

interface Seat {
  readonly share: WorkerShare;
  readonly restarts: RestartBudget;
  /** Undefined between two. */
  worker: WorkerProcess | undefined;
  restart: NodeJS.Timeout | undefined;
  url: string | undefined;
}

export class WorkerSupervisor {
  readonly #options: SupervisorOptions;
  readonly #seats: readonly Seat[];
  readonly #finished = Promise.withResolvers<void>();
  readonly #killAll = (): void => {
    for (const { worker } of this.#seats) worker?.kill();
  };
  #stopping = false;
  #exitCode: number = EXIT.ok;
  #told = "";

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#seats = options.shares.map((share) => ({
      share,
      restarts: new RestartBudget(),
      worker: undefined,
      restart: undefined,
      url: undefined,
    }));
  }

  /** Resolves when a worker ended for good: stop() the others. */
  get finished(): Promise<void> {
    return this.#finished.promise;
  }

  /** After stop(): the worst of those that ended for good. */
  get exitCode(): number {
    return this.#exitCode;
  }

  start(): void {
    // at a second signal this process ends at once; its workers with it
    process.once("exit", this.#killAll);
    for (const seat of this.#seats) this.#launch(seat);
  }

  /** All of them end, by themselves or killed. */
  async stop(): Promise<void> {
    this.#stopping = true;
    for (const { restart, worker } of this.#seats) {
      clearTimeout(restart);
      worker?.stop();
    }
    const kill = setTimeout(() => {
      this.#options.logger.error({ workers: this.#running.map(({ share }) => share.index) }, "did not stop in time: killed");
      this.#killAll();
    }, this.#options.killAfterMs ?? KILL_AFTER_MS);
    await Promise.all(this.#seats.flatMap(({ worker }) => worker?.exited ?? []));
    clearTimeout(kill);
    process.removeListener("exit", this.#killAll);
  }

  get #running(): Seat[] {
    return this.#seats.filter(({ worker }) => worker !== undefined);
  }

  #launch(seat: Seat): void {
    const { index } = seat.share;
    const { spawn, maxSilentPings, logger } = this.#options;
    const worker = new WorkerProcess(spawn(seat.share), {
      maxSilentPings,
      onListening: (url) => {
        seat.url = url;
        this.#tellUrls();
      },
      onSilent: () => logger.error({ worker: index, pid: worker.pid }, "worker does not answer: killed"),
    });
    seat.worker = worker;
    seat.restart = undefined;
    logger.info({ worker: index, pid: worker.pid }, "worker started");
    void worker.exited.then((exit) => this.#onExit(seat, exit));
  }

  #onExit(seat: Seat, exit: WorkerExit): void {
    seat.worker = undefined;
    seat.url = undefined;
    const { logger } = this.#options;
    const ended = { worker: seat.share.index, ...exit };
    if (this.#stopping) {
      this.#exitCode = Math.max(this.#exitCode, exit.code);
      if (exit.code !== EXIT.ok) logger.error(ended, "worker did not stop cleanly");
      return;
    }
    const final = exit.code === EXIT.usage || (exit.failure !== undefined && FINAL_FAILURES.has(exit.failure));
    const waitMs = final ? undefined : seat.restarts.next(performance.now());
    if (waitMs === undefined) {
      this.#exitCode = Math.max(this.#exitCode, exit.code, EXIT.failure);
      logger.error(ended, final ? "worker ended, as it would again: stopping all" : "worker ended too often: stopping all");
      this.#finished.resolve();
      return;
    }
    logger.warn({ ...ended, restartInMs: waitMs }, "worker ended: starting it again");
    seat.restart = setTimeout(() => this.#launch(seat), waitMs);
  }

  /** In one line, whenever all of them listen. */
  #tellUrls(): void {
    const workers = this.#seats.map(({ share, url }) => ({ worker: share.index, url }));
    const line = JSON.stringify(workers);
    if (line === this.#told || workers.some(({ url }) => url === undefined)) return;
    this.#told = line;
    this.#options.logger.info({ workers }, "all workers listen: HTTP API, /health and /metrics of each");
  }
}
