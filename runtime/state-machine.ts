/** A state with a table of legal transitions; an illegal one throws. */
import { RuntimeError } from "./errors.ts";

export class StateMachine<S extends string> {
  readonly #what: string;
  readonly #transitions: Readonly<Record<S, readonly S[]>>;
  readonly #listeners = new Set<(now: S, before: S) => void>();
  #state: S;

  constructor(what: string, initial: S, transitions: Readonly<Record<S, readonly S[]>>) {
    this.#what = what;
    this.#state = initial;
    this.#transitions = transitions;
  }

  get state(): S {
    return this.#state;
  }

  /** To the state it is in already: nothing happens. */
  to(next: S): void {
    const before = this.#state;
    if (next === before) return;
    if (!this.#transitions[before].includes(next))
      throw new RuntimeError("illegal-transition", `${this.#what} cannot go from ${before} to ${next}`);
    this.#state = next;
    for (const listener of this.#listeners) listener(next, before);
  }

  onChange(listener: (now: S, before: S) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
