/** One membership in a group: who it is, what it was given, and its listener called one call at a time. */
import { LogError } from "../errors.ts";
import { Generations } from "../generations.ts";
import type { GroupOptions } from "../port.ts";

export class GroupSeat {
  readonly options: GroupOptions;
  memberId: string;
  readonly generations: Generations;
  userData: Buffer = Buffer.alloc(0);
  /** Kept by a static member while it is away. */
  assignment: Buffer | undefined;
  /** A static member that went and may come back: still a member, but nobody to talk to. */
  away = false;
  awayTimer: NodeJS.Timeout | undefined;
  #ended = false;
  #calls: Promise<void> = Promise.resolve();
  readonly #first = Promise.withResolvers<void>();

  constructor(options: GroupOptions, memberId: string) {
    this.options = options;
    this.memberId = memberId;
    this.generations = new Generations(options.groupId, options.rebalanceTimeoutMs);
    this.#first.promise.catch(() => undefined); // start() hands the rejection on; a seat that never started has no one to tell
  }

  /** Settles after the first onAssigned, or with why there was none. */
  get firstAssigned(): Promise<void> {
    return this.#first.promise;
  }

  /** Resolves when the listener is through with what it was told, so that the member may join again. */
  get idle(): Promise<void> {
    return this.#calls;
  }

  /** From here on only commits of this generation are taken. */
  joined(generationId: number): void {
    const { groupId, instanceId } = this.options;
    const { memberId } = this;
    this.generations.began(
      instanceId === undefined ? { groupId, generationId, memberId } : { groupId, generationId, memberId, instanceId },
    );
  }

  /** After joined(). */
  assign(assignment: Buffer): void {
    this.assignment = assignment;
    if (this.away) return;
    const metadata = this.generations.current;
    void this.#call(async () => {
      await this.options.listener.onAssigned(assignment, metadata);
      this.#first.resolve();
    });
  }

  /** Resolves when the listener, after whatever it was busy with, knows. */
  lost(error: LogError): Promise<void> {
    this.generations.ended(error);
    this.assignment = undefined;
    return this.#call(() => this.options.listener.onLost(error));
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** No call to the listener begins after this one. */
  fatal(error: Error): void {
    if (this.#ended) return;
    this.end(error);
    this.options.listener.onFatal(error);
  }

  end(reason: Error = new LogError("closed", "the member left its group")): void {
    this.#ended = true;
    this.generations.ended(new LogError("closed", `the member of ${this.options.groupId} is gone`, { cause: reason }));
    clearTimeout(this.awayTimer);
    this.#first.reject(reason);
  }

  #call(run: () => Promise<void>): Promise<void> {
    this.#calls = this.#calls.then(async () => {
      if (this.#ended) return;
      try {
        await run();
      } catch (error) {
        this.fatal(error as Error);
      }
    });
    return this.#calls;
  }
}
