/** The generation that a group member is in, and the commits that wait for the next one. */
import { LogError } from "./errors.ts";
import type { GroupMetadata } from "./port.ts";

interface Waiting {
  readonly reject: (error: Error) => void;
  readonly look: () => void;
}

export class Generations {
  readonly #groupId: string;
  readonly #renewalTimeoutMs: number;
  readonly #waiting = new Set<Waiting>();
  #current: GroupMetadata | undefined;
  #lost: LogError | undefined;

  /** @param renewalTimeoutMs the rebalance time-out: a member that is not in the next generation by then is not a member any more. */
  constructor(groupId: string, renewalTimeoutMs: number) {
    this.#groupId = groupId;
    this.#renewalTimeoutMs = renewalTimeoutMs;
  }

  /** Throws `invalid-state` before the first. */
  get current(): GroupMetadata {
    if (this.#current === undefined) throw new LogError("invalid-state", `not a member of ${this.#groupId} yet`);
    return this.#current;
  }

  began(metadata: GroupMetadata): void {
    this.#current = metadata;
    this.#lost = undefined;
    for (const { look } of [...this.#waiting]) look();
  }

  /** The membership is over: what waits for its next generation fails now, since the member's owner may wait for that. */
  ended(reason: LogError): void {
    this.#lost = reason;
    for (const { reject } of [...this.#waiting]) reject(this.#stale(reason));
  }

  /** See GroupMember.renewed. */
  renewed(stale: GroupMetadata): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => waiting.reject(this.#stale(undefined)), this.#renewalTimeoutMs);
      const over = (settle: () => void): void => {
        clearTimeout(timer);
        this.#waiting.delete(waiting);
        settle();
      };
      const waiting: Waiting = {
        reject: (error) => over(() => reject(error)),
        look: () => {
          if (this.#lost !== undefined || this.current.memberId !== stale.memberId) waiting.reject(this.#stale(this.#lost));
          else if (this.current.generationId > stale.generationId) over(resolve);
        },
      };
      this.#waiting.add(waiting);
      waiting.look();
    });
  }

  #stale(cause: LogError | undefined): LogError {
    return new LogError("stale-generation", `the membership of ${this.#groupId} did not come into a next generation`, { cause });
  }
}
