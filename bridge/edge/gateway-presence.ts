/**
 * Presence of devices behind a gateway with a Kafka uplink: the machine of the ingress (bridge/presence/), told of each message when it is
 * durable upstream. So what a device said of itself is kept by the store, in order with its telemetry, over outages and restarts, and each
 * change has the time at which the gateway heard of it.
 *
 *   behind --caught up--> current --a write failed--> behind
 *
 * Behind, nobody is silent and no offline counts: what takes it back may be stored already. As with a broker that was away, the time
 * counts from when the gateway has caught up.
 */
import type { Logger } from "pino";
import type { EventLog } from "../../eventlog/port.ts";
import type { PresenceClock } from "../presence/presence-machine.ts";
import { Presence, type PresenceOptions } from "../presence/presence.ts";
import type { Route } from "../route-cache.ts";
import type { StoredMessage } from "./message.ts";

export interface GatewayPresenceStats {
  readonly followed: number;
  readonly overflow: number;
  readonly unreadable: number;
}

/** What is forwarded within this of its coming is no backlog. ms. */
const CURRENT_MS = 5_000;

export class GatewayPresence {
  readonly #make: () => Presence;
  #presence: Presence | undefined;
  #isCurrent = false;
  /** When the message at hand was received, epoch ms. */
  #at: number | undefined;

  /** The log is not closed here. */
  constructor(options: PresenceOptions, log: EventLog, gatewayId: string, logger: Logger) {
    const clock: PresenceClock = { epochMs: () => this.#at ?? Date.now(), monotonicMs: () => performance.now() };
    this.#make = () => new Presence(options, log, logger, { gateway: gatewayId, clock });
  }

  /** Resolves when what was written before is known; at once the next time. Rejects as the reader does, and can be called again. */
  async start(): Promise<void> {
    if (this.#presence !== undefined) return;
    const presence = this.#make();
    try {
      await presence.start();
    } catch (error) {
      await presence.close();
      throw error;
    }
    this.#presence = presence;
  }

  /** The message is durable upstream. */
  forwarded(route: Route, { value, receivedTs }: StoredMessage): void {
    this.#at = receivedTs;
    if (route.kind === "state") this.#presence?.state(route, value, false);
    else this.#presence?.seen(route);
    this.#at = undefined;
    if (!this.#isCurrent && Date.now() - receivedTs < CURRENT_MS) this.caughtUp();
  }

  caughtUp(): void {
    if (this.#isCurrent || this.#presence === undefined) return;
    this.#isCurrent = true;
    this.#presence.machine.brokerBack();
  }

  fellBehind(): void {
    if (!this.#isCurrent) return;
    this.#isCurrent = false;
    this.#presence?.machine.brokerLost();
  }

  stats(): GatewayPresenceStats {
    const { machine, unreadable = 0 } = this.#presence ?? {};
    return { followed: machine?.size ?? 0, overflow: machine?.overflow ?? 0, unreadable };
  }

  async close(): Promise<void> {
    await this.#presence?.close();
  }
}
