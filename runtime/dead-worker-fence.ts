/** Ends transactions of this application whose worker is no longer a member (design, section 5: take-over fences first). */
import type { Logger } from "pino";
import type { Admin } from "../eventlog/port.ts";
import type { AssignedMember } from "./group-protocol.ts";

export class DeadWorkerFence {
  readonly #admin: Admin;
  readonly #applicationId: string;
  readonly #logger: Logger;
  #running: Promise<void> | undefined;

  constructor(admin: Admin, applicationId: string, logger: Logger) {
    this.#admin = admin;
    this.#applicationId = applicationId;
    this.#logger = logger;
  }

  /** Tasks that come up together share one run. */
  run(members: readonly AssignedMember[]): Promise<void> {
    return (this.#running ??= this.#fence(members).finally(() => (this.#running = undefined)));
  }

  async #fence(members: readonly AssignedMember[]): Promise<void> {
    const live = new Set(members.map((member) => member.transactionalId));
    for (const transactionalId of await this.#admin.openTransactions(`${this.#applicationId}/`)) {
      if (live.has(transactionalId)) continue;
      this.#logger.warn({ transactionalId }, "fencing a dead worker's open transaction");
      await this.#admin.fence(transactionalId);
    }
  }
}
