/** The workers of one application, as processes: started, killed, stopped, looked after. */
import type { CliProcess } from "../support/spawn-cli.ts";

/** A worker says this once it takes signals. */
const UP = /HTTP API listens/;
const WORKING = /"task restored"/;
const REBUILT = /rebuilding this task from its changelog/g;
/** Restores, fencing and a rebalance on a busy machine. */
const WORKING_DEADLINE_MS = 60_000;

export class WorkerFleet {
  readonly #start: (name: string) => Promise<CliProcess>;
  readonly #running = new Map<string, CliProcess>();
  /** Kills of a worker that had taken up a task; the others were still starting. */
  killsAtWork = 0;
  /** Tasks whose local state was thrown away. */
  rebuilds = 0;

  constructor(start: (name: string) => Promise<CliProcess>) {
    this.#start = start;
  }

  get names(): string[] {
    return [...this.#running.keys()];
  }

  async start(...names: readonly string[]): Promise<void> {
    for (const name of names) this.#running.set(name, await this.#start(name));
  }

  get(name: string): CliProcess {
    const worker = this.#running.get(name);
    if (worker === undefined) throw new Error(`no worker ${name} is running`);
    return worker;
  }

  async untilUp(name: string): Promise<void> {
    await this.get(name).waitForOutput(UP);
  }

  async untilAllWork(): Promise<void> {
    for (const worker of this.#running.values()) await worker.waitForOutput(WORKING, WORKING_DEADLINE_MS);
  }

  /** Set when a worker ended that nobody ended. */
  problem(): Error | undefined {
    for (const [name, worker] of this.#running)
      if (!worker.running()) return new Error(`worker ${name} ended by itself: ${worker.stderr().slice(-4_000)}${worker.stdout()}`);
    return undefined;
  }

  async kill(name: string): Promise<void> {
    const worker = this.get(name);
    await worker.kill("SIGKILL");
    if (WORKING.test(worker.stderr())) this.killsAtWork++;
    this.#forget(name, worker);
  }

  /** SIGTERM. Rejects unless the worker ends with exit code 0. */
  async stop(name: string): Promise<void> {
    const worker = this.get(name);
    await worker.waitForOutput(UP);
    const { code } = await worker.stop();
    if (code !== 0) throw new Error(`worker ${name} stopped with exit code ${String(code)}: ${worker.stderr().slice(-4_000)}`);
    this.#forget(name, worker);
  }

  async stopAll(): Promise<void> {
    for (const name of this.names) await this.stop(name);
  }

  #forget(name: string, worker: CliProcess): void {
    this.rebuilds += worker.stderr().match(REBUILT)?.length ?? 0;
    this.#running.delete(name);
  }
}
