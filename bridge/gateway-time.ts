/**
 * When a gateway behind an MQTT uplink received a message (bridge/edge/), as the receive time of its record. Any device at the same broker
 * can send this user property too, so it is taken only where the operator says so, and only within bounds: not ahead of this ingress'
 * clock, and not older than a gateway keeps messages. So nobody can move time forward for others, or have a record deleted at once.
 */
import type { UserProperty } from "./wire/publish-packet.ts";

/** MQTT 5 user properties that a gateway adds to what it forwards. */
export const GATEWAY_PROPERTIES = { id: "gateway.id", receivedTs: "gateway.ts" } as const;

export interface GatewayTimeSettings {
  /** What was received longer ago is given this ingress' time. */
  readonly maxAgeMs: number;
}

export interface GatewayTimeCounts {
  used: number;
  /** Ahead of this clock: the gateway's is wrong, or it is no gateway's. */
  ahead: number;
  tooOld: number;
  /** No number, or more than one. */
  unreadable: number;
}

/** Two clocks that are set by NTP differ by less: what is ahead by so much is now. ms. */
const CLOCK_DIFFERENCE_MS = 1_000;

export class GatewayTime {
  readonly counts: GatewayTimeCounts = { used: 0, ahead: 0, tooOld: 0, unreadable: 0 };
  readonly #maxAgeMs: number;

  constructor({ maxAgeMs }: GatewayTimeSettings) {
    this.#maxAgeMs = maxAgeMs;
  }

  /** Epoch ms: the gateway's, or `nowMs` where there is none or it is not taken. */
  receivedTs(properties: readonly UserProperty[], nowMs: number): number {
    let found: string | undefined;
    for (const { name, value } of properties) {
      if (name !== GATEWAY_PROPERTIES.receivedTs) continue;
      if (found !== undefined) return this.#refuse("unreadable", nowMs);
      found = value;
    }
    if (found === undefined) return nowMs;
    if (!/^\d{1,15}$/.test(found)) return this.#refuse("unreadable", nowMs);
    const ts = Number(found);
    if (ts > nowMs + CLOCK_DIFFERENCE_MS) return this.#refuse("ahead", nowMs);
    if (ts < nowMs - this.#maxAgeMs) return this.#refuse("tooOld", nowMs);
    this.counts.used++;
    return Math.min(ts, nowMs);
  }

  #refuse(why: "ahead" | "tooOld" | "unreadable", nowMs: number): number {
    this.counts[why]++;
    return nowMs;
  }
}
