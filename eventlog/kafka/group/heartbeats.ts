/** Keeps a membership alive on a timer of its own, whatever the member's owner is busy with. */
import { LogError } from "../../errors.ts";
import type { Trouble } from "../../port.ts";
import type { CoordinatorClient } from "../connection/coordinator-client.ts";
import { ILLEGAL_GENERATION, isTransient, NONE, protocolError, REBALANCE_IN_PROGRESS, UNKNOWN_MEMBER_ID } from "../protocol-errors.ts";
import { heartbeatRequest, type GroupIdentity } from "../requests/group.ts";

export interface HeartbeatListener {
  /** The group wants its members to join again. The membership holds; may be called more than once. */
  rebalance(): void;
  /** The membership is gone; called once, and heartbeats have stopped. `final`: joining as a new member would not help. */
  lost(error: LogError, final: boolean): void;
}

/** After a failed heartbeat the next comes soon: the session is running out. */
const RETRY_MS = 100;

export class Heartbeats {
  readonly #coordinator: CoordinatorClient;
  readonly #who: GroupIdentity;
  readonly #options: { readonly intervalMs: number; readonly timeoutMs: number };
  readonly #listener: HeartbeatListener;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;
  #trouble: Trouble | undefined;

  /** Starts at once. @param options.timeoutMs of one heartbeat: the session time-out, after which the answer is of no use. */
  constructor(
    coordinator: CoordinatorClient,
    who: GroupIdentity,
    options: { intervalMs: number; timeoutMs: number },
    listener: HeartbeatListener,
  ) {
    this.#coordinator = coordinator;
    this.#who = who;
    this.#options = options;
    this.#listener = listener;
    this.#schedule(options.intervalMs);
  }

  /** Since when heartbeats are not answered. */
  get trouble(): Trouble | undefined {
    return this.#trouble;
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  #schedule(ms: number): void {
    if (!this.#stopped) this.#timer = setTimeout(() => void this.#beat(), ms);
  }

  async #beat(): Promise<void> {
    let errorCode: number;
    try {
      errorCode = await this.#coordinator.send(heartbeatRequest(this.#who), (code) => code, this.#options.timeoutMs);
    } catch (error) {
      if (error instanceof LogError && error.action === "retriable") this.#retry(error);
      else this.#lost(error instanceof LogError ? error : new LogError("invalid-state", "heartbeat failed", { cause: error }), true);
      return;
    }
    if (this.#stopped) return;
    if (isTransient(errorCode)) {
      this.#retry(protocolError(errorCode, `heartbeat of ${this.#who.memberId} in ${this.#who.groupId}`));
      return;
    }
    this.#trouble = undefined;
    if (errorCode !== NONE && errorCode !== REBALANCE_IN_PROGRESS) {
      const { memberId, groupId, generationId } = this.#who;
      const error = protocolError(errorCode, `heartbeat of ${memberId} in ${groupId} (generation ${generationId})`);
      this.#lost(error, errorCode !== UNKNOWN_MEMBER_ID && errorCode !== ILLEGAL_GENERATION);
      return;
    }
    this.#schedule(this.#options.intervalMs);
    if (errorCode === REBALANCE_IN_PROGRESS) this.#listener.rebalance();
  }

  #retry(error: LogError): void {
    this.#trouble ??= { since: performance.now(), error };
    this.#schedule(Math.min(RETRY_MS, this.#options.intervalMs));
  }

  #lost(error: LogError, final: boolean): void {
    if (this.#stopped) return;
    this.stop();
    this.#listener.lost(error, final);
  }
}
