/** One membership in a group: who it is, what it was given, and its listener called one call at a time. */
import { LogError } from "../errors.ts";
import type { GroupMetadata, GroupOptions } from "../port.ts";

export class GroupSeat {
  readonly options: GroupOptions;
  memberId: string;
  generationId = -1;
  userData: Buffer = Buffer.alloc(0);
  /** Kept by a static member while it is away. */
  assignment: Buffer | undefined;
  /** The listener has been told of an assignment and not yet of its end. */
  holdsAssignment = false;
  /** A static member that went and may come back: still a member, but nobody to talk to. */
  away = false;
  awayTimer: NodeJS.Timeout | undefined;
  #ended = false;
  #calls: Promise<void> = Promise.resolve();
  readonly #first = Promise.withResolvers<void>();

  constructor(options: GroupOptions, memberId: string) {
    this.options = options;
    this.memberId = memberId;
    this.#first.promise.catch(() => undefined); // start() hands the rejection on; a seat that never started has no one to tell
  }

  /** Settles after the first onAssigned, or with why there was none. */
  get firstAssigned(): Promise<void> {
    return this.#first.promise;
  }

  get metadata(): GroupMetadata {
    const { groupId, instanceId } = this.options;
    return { groupId, generationId: this.generationId, memberId: this.memberId, ...(instanceId === undefined ? {} : { instanceId }) };
  }

  /** Resolves when the listener has given up what it held. */
  revoke(): Promise<void> {
    if (!this.holdsAssignment) return Promise.resolve();
    this.holdsAssignment = false;
    return this.#call(() => this.options.listener.onRevoked());
  }

  assign(assignment: Buffer, generationId: number): void {
    this.assignment = assignment;
    if (this.away) return;
    this.holdsAssignment = true;
    this.generationId = generationId;
    const { metadata } = this;
    void this.#call(async () => {
      await this.options.listener.onAssigned(assignment, metadata);
      this.#first.resolve();
    });
  }

  /** Resolves when the listener, after whatever it was busy with, knows. */
  lost(error: LogError): Promise<void> {
    this.holdsAssignment = false;
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
    this.holdsAssignment = false;
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
