/** Ends the transactions that dead workers left open (design, section 5: a take-over fences first). */
import type { Logger } from "pino";
import type { EventLog } from "../eventlog/port.ts";

export interface FencingOptions {
  readonly log: EventLog;
  /** Of the transactional ids of this application's workers. */
  readonly prefix: string;
  /** The transactional ids of the group's members. */
  readonly live: () => readonly (string | undefined)[];
  readonly logger: Logger;
}

export class Fencing {
  readonly #options: FencingOptions;
  #underWay: Promise<void> | undefined;

  constructor(options: FencingOptions) {
    this.#options = options;
  }

  /** Tasks that come up at the same time share one look. */
  fenceDead(): Promise<void> {
    return (this.#underWay ??= this.#fence().finally(() => (this.#underWay = undefined)));
  }

  async #fence(): Promise<void> {
    const { log, prefix, live, logger } = this.#options;
    const members = new Set(live());
    for (const transactionalId of await log.admin.openTransactions(prefix)) {
      if (members.has(transactionalId)) continue;
      logger.warn({ transactionalId }, "fencing a dead worker's open transaction");
      await log.admin.fence(transactionalId);
    }
  }
}
