/**
 * One worker stops all of its application (KIP-671's SHUTDOWN_APPLICATION). The request travels with the rebalance that it asks for:
 * in the subscription of whoever asks, from there, by the leader, into every assignment.
 *
 * A request outlives the shutdown: a static member that comes back is given its old assignment (KIP-345), and what one that went away
 * said last may be used for the next. So whatever request a worker finds with its first assignment is none of its business: it
 * obeys those that come later, and goes on if it came in the middle of a shutdown.
 */
import { setTimeout as delay } from "node:timers/promises";

/** A rebalance waits for members that are busy with the last one, see REBALANCE_TIMEOUT_MS of the membership. */
const TELL_TIMEOUT_MS = 60_000;
/** Members fetch their assignments one by one; whoever has not, when another rebalance begins, must find the request in that one too. */
const LINGER_MS = 1_000;
/** It is in every assignment. */
const MAX_REASON_LENGTH = 1_000;

export class ApplicationShutdown {
  readonly #told = Promise.withResolvers<boolean>();
  readonly #cancelled = new AbortController();
  #request: string | undefined;
  /** Undefined before the first assignment. */
  #found: { readonly request: string | undefined } | undefined;

  /** Of this worker, for its subscription. */
  get request(): string | undefined {
    return this.#request;
  }

  /**
   * Makes the request and joins anew with it. Resolves when the group has been told: false when it could not be in time.
   * cancel() ends the wait.
   */
  async ask(workerId: string, reason: string, rejoin: () => void): Promise<boolean> {
    const { signal } = this.#cancelled;
    const over = new AbortController();
    this.#request ??= `${new Date().toISOString()} ${workerId}: ${reason.slice(0, MAX_REASON_LENGTH)}`;
    rejoin();
    const late = delay(TELL_TIMEOUT_MS, false, { signal: AbortSignal.any([signal, over.signal]) }).catch(() => false); // cancelled, or over
    const told = await Promise.race([this.#told.promise, late]);
    over.abort();
    if (told) await delay(LINGER_MS, undefined, { signal }).catch(() => undefined); // cancelled
    return told;
  }

  cancel(): void {
    this.#cancelled.abort();
  }

  /** To be told of every assignment. Returns the request that this worker has to obey. */
  heard(request: string | undefined): string | undefined {
    this.#found ??= { request };
    if (request === undefined || request === this.#found.request) return undefined;
    if (this.#request !== undefined) this.#told.resolve(true);
    return request;
  }
}

/** What the leader hands on: the latest, so that one that was left behind hides no new one. Requests begin with their time. */
export function latestShutdown(subscriptions: readonly { readonly shutdown?: string }[]): string | undefined {
  return subscriptions
    .flatMap(({ shutdown }) => shutdown ?? [])
    .sort()
    .at(-1);
}
