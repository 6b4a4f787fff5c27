/**
 * What a worker tries again for as long as it fails for a passing reason: joining, reading, opening tasks, checkpoints. Said once when
 * it begins and once when it is over, and given up when it lasts too long. Commits are recovery.ts's.
 */
import type { Logger } from "pino";
import type { Trouble } from "../eventlog/port.ts";
import { messageOf, RuntimeError } from "./errors.ts";

export interface TroubleSource {
  /** For people: "reading the source topics". */
  readonly doing: string;
  /** What is said when it is over. Default: it works again. */
  readonly over?: string;
  readonly trouble: () => Trouble | undefined;
}

interface Troubled {
  readonly trouble: Trouble | undefined;
}

/** Of a worker's parts. */
export function troubleSources(
  membership: Troubled,
  processing: { readonly readTrouble: Trouble | undefined; readonly checkpointTrouble: Trouble | undefined },
  tasks: Troubled,
  restorer: Troubled,
  committer: Troubled,
): TroubleSource[] {
  return [
    { doing: "membership of the group", trouble: () => membership.trouble },
    { doing: "reading the source topics", trouble: () => processing.readTrouble },
    { doing: "opening a task", trouble: () => tasks.trouble },
    { doing: "reading changelogs for a restore", trouble: () => restorer.trouble },
    { doing: "writing checkpoints", trouble: () => processing.checkpointTrouble },
    { doing: "a commit", over: "the log has answered the commit", trouble: () => committer.trouble },
  ];
}

export interface TroublesOptions {
  readonly sources: readonly TroubleSource[];
  /** After so long something that fails is given up. */
  readonly timeoutMs: number;
  readonly logger: Logger;
  /** Called once, with a RuntimeError `recovery-timeout` whose cause is what failed first. */
  readonly onGivenUp: (error: RuntimeError) => void;
}

/** A leader or coordinator that moves is back before anybody needs to know. */
const SAY_AFTER_MS = 1_000;
/** Between two looks. */
const LOOK_INTERVAL_MS = 250;

export class Troubles {
  readonly #options: TroublesOptions;
  /** Those that were said, with when they began. */
  readonly #said = new Map<TroubleSource, number>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: TroublesOptions) {
    this.#options = options;
  }

  start(): void {
    this.#timer ??= setInterval(() => this.#look(), LOOK_INTERVAL_MS).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #look(): void {
    const { sources, timeoutMs, logger, onGivenUp } = this.#options;
    const now = performance.now();
    for (const source of sources) {
      const trouble = source.trouble();
      const saidSince = this.#said.get(source);
      if (trouble === undefined) {
        if (saidSince === undefined) continue;
        this.#said.delete(source);
        logger.info({ ms: Math.round(now - saidSince) }, source.over ?? `${source.doing} works again`);
        continue;
      }
      const ms = now - trouble.since;
      if (ms >= timeoutMs) {
        this.stop();
        const message = `${source.doing} has failed for ${Math.round(ms / 1000)} s: ${messageOf(trouble.error)}`;
        return onGivenUp(new RuntimeError("recovery-timeout", message, trouble.error));
      }
      if (saidSince !== undefined || ms < SAY_AFTER_MS) continue;
      this.#said.set(source, trouble.since);
      logger.warn({ err: trouble.error, timeoutMs }, `${source.doing} fails: it is tried again until it works, or the time is over`);
    }
  }
}
