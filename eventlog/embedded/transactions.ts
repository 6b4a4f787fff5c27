/** Who holds which transactional id. In memory only: a transaction does not outlive its process. */
import { LogError } from "../errors.ts";

/** What fencing needs of a writer. */
export interface TxnHolder {
  readonly transactionalId: string;
  readonly hasOpenTransaction: boolean;
  /** Aborts what is open, after a commit under way is through, and refuses every later call with `fenced`. */
  fence(): Promise<void>;
}

export class Transactions {
  readonly #holders = new Map<string, TxnHolder>();

  /** Makes `holder` the one of its id; resolves when the one before is fenced. */
  async takeOver(holder: TxnHolder): Promise<void> {
    const before = this.#holders.get(holder.transactionalId);
    this.#holders.set(holder.transactionalId, holder);
    if (before !== undefined && before !== holder) await before.fence();
  }

  async fence(transactionalId: string): Promise<void> {
    const holder = this.#holders.get(transactionalId);
    this.#holders.delete(transactionalId);
    await holder?.fence();
  }

  release(holder: TxnHolder): void {
    if (this.#holders.get(holder.transactionalId) === holder) this.#holders.delete(holder.transactionalId);
  }

  /** Ids with a transaction open now. */
  open(prefix: string): string[] {
    const ids: string[] = [];
    for (const holder of this.#holders.values()) {
      if (holder.hasOpenTransaction && holder.transactionalId.startsWith(prefix)) ids.push(holder.transactionalId);
    }
    return ids;
  }
}

export function fencedError(transactionalId: string): LogError {
  return new LogError("fenced", `transactional id ${transactionalId} was taken over by another writer`);
}
