/**
 * The states of a transactional writer, and which call may lead where.
 *
 *     new ──open──> ready <──commit, abort── open ──error──> failed ──abort──> ready
 *                     └──────begin─────────────^
 *     open, failed ──commit or abort without an answer──> unknown
 *     any ──another took the id over──> fenced          any ──close──> closed
 *     any but closed ──open──> ready: a new epoch ends whatever was
 */
import { LogError, type LogErrorCode } from "../../errors.ts";

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

/** The code that a call not allowed in the state gets: what the caller may do. */
const REFUSALS: Partial<Record<TxnState, LogErrorCode>> = {
  closed: "closed",
  fenced: "fenced",
  unknown: "unknown-outcome",
  failed: "transaction-aborted",
};

export class TxnStateMachine {
  #state: TxnState = "new";
  /** What led to the state, where an error did. */
  #cause: unknown;
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
    const why = this.#cause instanceof Error ? `: ${this.#cause.message}` : "";
    const message = `${call}() of transactional writer ${this.#name} while it is ${this.#state}${why}`;
    throw new LogError(REFUSALS[this.#state] ?? "invalid-state", message, { cause: this.#cause });
  }

  /** @param cause the error that leads there; later refusals name it. The first one counts while the state stays. */
  to(next: TxnState, cause?: unknown): void {
    if (!TRANSITIONS[this.#state].includes(next))
      throw new LogError("invalid-state", `transactional writer ${this.#name}: ${this.#state} to ${next}`);
    if (next !== this.#state) this.#cause = cause;
    this.#state = next;
  }
}
