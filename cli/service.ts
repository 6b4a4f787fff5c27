import { flushCompileCache } from "node:module";
import type { Logger } from "pino";
import { EXIT } from "./exit-codes.ts";
import { CommandFailure } from "./failure.ts";

/** A stop that takes longer is given up: the log makes a hard end safe. Below the 30 s that container runtimes grant. */
const STOP_TIMEOUT_MS = 25_000;

/** After the start: most of what runs is compiled by then. ms. */
const KEEP_COMPILED_AFTER_MS = 5_000;

interface Step {
  readonly name: string;
  readonly close: () => Promise<unknown>;
}

/** What has been started so far and how to end it, last first. */
export class Closers {
  readonly #steps: Step[] = [];

  push(name: string, close: () => Promise<unknown>): void {
    this.#steps.push({ name, close });
  }

  /** Ends everything; one step's failure does not spare the others. Returns false when one failed. */
  async run(logger: Logger): Promise<boolean> {
    let clean = true;
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      try {
        await step.close();
      } catch (error) {
        clean = false;
        logger.error({ err: error, step: step.name }, "did not stop cleanly");
      }
    }
    return clean;
  }
}

/** What a started service tells its runner. */
export interface Running {
  /** Rejects when the service failed on its own. */
  readonly finished?: Promise<unknown>;
}

export interface ServiceOptions {
  readonly logger: Logger;
  readonly stopTimeoutMs?: number;
  /** Resolves, with who, when something else than a signal asks for the stop. */
  readonly stopAsked?: Promise<string>;
}

/**
 * Runs a service until SIGTERM or SIGINT (exit code 0) or until it fails (1). A signal during the start ends what is there
 * already. A second signal, or a stop over its time, ends the process at once. A signal and another's asking are one stop.
 */
export async function runService(start: (closers: Closers) => Promise<Running>, options: ServiceOptions): Promise<number> {
  const { logger } = options;
  const closers = new Closers();
  const signal = Promise.withResolvers<"signal">();
  let keepCompiled: NodeJS.Timeout | undefined;
  const onSignal = (name: NodeJS.Signals) => {
    logger.info({ signal: name }, "stopping");
    signal.resolve("signal");
    for (const again of SIGNALS) process.removeListener(again, onSignal).once(again, endNow);
  };
  for (const name of SIGNALS) process.on(name, onSignal);
  void options.stopAsked?.then((by) => {
    logger.info({ by }, "asked to stop");
    signal.resolve("signal");
  });
  try {
    const starting = start(closers);
    // After a signal the start may fail because its parts are being closed: that is no news.
    starting.catch(() => undefined);
    const running = await Promise.race([starting, signal.promise]);
    if (running !== "signal") {
      // Node does it at the exit, which a process that is killed does not come to.
      keepCompiled = setTimeout(flushCompileCache, KEEP_COMPILED_AFTER_MS).unref();
      await Promise.race([running.finished ?? signal.promise, signal.promise]);
    }
    return (await stop(closers, options)) ? EXIT.ok : EXIT.failure;
  } catch (error) {
    await stop(closers, options);
    throw error;
  } finally {
    clearTimeout(keepCompiled);
    for (const name of SIGNALS) process.removeListener(name, onSignal).removeListener(name, endNow);
  }
}

const SIGNALS = ["SIGTERM", "SIGINT"] as const;

function endNow(): void {
  process.exit(EXIT.failure);
}

async function stop(closers: Closers, { logger, stopTimeoutMs = STOP_TIMEOUT_MS }: ServiceOptions): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new CommandFailure("stop-timeout", `did not stop within ${stopTimeoutMs} ms; what was not committed will be processed again`));
    }, stopTimeoutMs);
  });
  try {
    return await Promise.race([closers.run(logger), tooLate]);
  } finally {
    clearTimeout(timer);
  }
}
