/** One worker as its supervisor sees it: a process that answers, says where it listens, and ends. */
import type { ChildProcess } from "node:child_process";
import { EXIT } from "../exit-codes.ts";
import type { FromWorker, ToWorker } from "./messages.ts";

const PING_INTERVAL_MS = 1_000;

export interface WorkerExit {
  /** One of EXIT; a signal's end is a failure. */
  readonly code: number;
  readonly signal: NodeJS.Signals | null;
  /** Error code that it named before. */
  readonly failure: string | undefined;
}

export interface WorkerProcessOptions {
  /**
   * Pings in a row without an answer after which it is killed: it is out of its group by then, and the locks it holds on its tasks' state
   * keep the workers beside it from taking them over. Counted, not timed: when this process slept, its workers have no fault in it.
   */
  readonly maxSilentPings: number;
  readonly onListening: (url: string) => void;
  readonly onSilent: () => void;
}

export class WorkerProcess {
  /** Never rejects. */
  readonly exited: Promise<WorkerExit>;
  readonly #child: ChildProcess;
  readonly #options: WorkerProcessOptions;
  readonly #pings: NodeJS.Timeout;
  /** Since it last said anything; undefined until it does: a start may take long, and holds nothing yet. */
  #silentPings: number | undefined;
  #failure: string | undefined;

  constructor(child: ChildProcess, options: WorkerProcessOptions) {
    this.#child = child;
    this.#options = options;
    const { promise, resolve } = Promise.withResolvers<WorkerExit>();
    this.exited = promise;
    const ended = (code: number, signal: NodeJS.Signals | null): void => {
      clearInterval(this.#pings);
      resolve({ code, signal, failure: this.#failure });
    };
    child.once("exit", (code, signal) => ended(code ?? EXIT.failure, signal));
    // a process that could not be started has no exit; of one that runs, `exit` says it
    child.on("error", (error) => {
      this.#failure ??= "code" in error ? String(error.code) : error.message;
      if (child.pid === undefined) ended(EXIT.failure, null);
    });
    child.on("message", (message) => this.#onMessage(message as FromWorker));
    this.#pings = setInterval(() => this.#ping(), PING_INTERVAL_MS);
    this.#ping();
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** It commits, checkpoints, leaves its group and ends. */
  stop(): void {
    this.#tell("stop");
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }

  #ping(): void {
    if (this.#silentPings !== undefined && ++this.#silentPings > this.#options.maxSilentPings) {
      clearInterval(this.#pings);
      this.#options.onSilent();
      this.kill();
      return;
    }
    this.#tell("ping");
  }

  #tell(message: ToWorker): void {
    // one that is ending cannot be told anything: its exit says the rest
    if (this.#child.connected) this.#child.send(message, () => undefined);
  }

  #onMessage(message: FromWorker): void {
    this.#silentPings = 0;
    if (message.type === "listening") this.#options.onListening(message.url);
    else if (message.type === "failed") this.#failure = message.code;
  }
}
