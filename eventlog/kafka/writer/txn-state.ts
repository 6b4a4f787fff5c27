/**
 * The states of a transactional writer, and which call may lead where.
 *
 *     new ──open──> ready <──commit, abort── open ──error──> failed ──abort──> ready
 *                     └──────begin─────────────^
 *     open, failed ──commit or abort without an answer──> unknown
 *     any ──another took the id over──> fenced          any ──close──> closed
 *     any but closed ──open──> ready: a new epoch ends whatever was
 */
import { LogError } from "../../errors.ts";

export type TxnState = "new" | "ready" | "open" | "failed" | "unknown" | "fenced" | "closed";

const TRANSITIONS: Readonly<Record<TxnState, readonly TxnState[]>> = {
  new: ["ready", "fenced", "closed"],
  ready: ["open", "ready", "fenced", "closed"],
  open: ["ready", "failed", "unknown", "fenced", "closed"],
  failed: ["ready", "failed", "unknown", "fenced", "closed"],
  unknown: ["ready", "unknown", "fenced", "closed"],
  fenced: ["ready", "fenced", "closed"],
  closed: ["closed"],
};

export class TxnStateMachine {
  #state: TxnState = "new";
  readonly #name: string;

  constructor(name: string) {
    this.#name = name;
  }

  get state(): TxnState {
    return this.#state;
  }

  /** Throws `closed`, `fenced`, `transaction-aborted` or `invalid-state` when the call is not allowed now. */
  require(call: string, ...allowed: readonly TxnState[]): void {
    if (allowed.includes(this.#state)) return;
    const message = `${call}() of transactional writer ${this.#name} while it is ${this.#state}`;
    if (this.#state === "closed") throw new LogError("closed", message);
    if (this.#state === "fenced") throw new LogError("fenced", message);
    if (this.#state === "unknown") throw new LogError("unknown-outcome", message);
    if (this.#state === "failed") throw new LogError("transaction-aborted", message);
    throw new LogError("invalid-state", message);
  }

  to(next: TxnState): void {
    if (!TRANSITIONS[this.#state].includes(next))
      throw new LogError("invalid-state", `transactional writer ${this.#name}: ${this.#state} to ${next}`);
    this.#state = next;
  }
}
