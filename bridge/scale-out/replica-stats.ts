/** The numbers of all slots of a replica together, those it gave up included. */
import type { AdmissionCount } from "../admission/counts.ts";
import { NOTHING_YET, type IngressStats } from "../ingress.ts";

export interface ReplicaStats extends IngressStats {
  /** Known to the registry of devices. */
  readonly devices: { readonly allowed: number; readonly denied: number };
  readonly slots: number;
  readonly slotsTaken: number;
  /** Given up without a hand-over: frozen, fenced, or taken over. */
  readonly slotsLost: number;
}

export function addStats(a: IngressStats, b: IngressStats): IngressStats {
  return {
    connected: a.connected && b.connected,
    received: a.received.map((count, qos) => count + b.received[qos]),
    written: a.written + b.written,
    acked: a.acked + b.acked,
    shed: a.shed + b.shed,
    redelivered: a.redelivered + b.redelivered,
    foreign: a.foreign + b.foreign,
    deadLetters: addCounts(a.deadLetters, b.deadLetters),
    admission: addAdmission(a.admission, b.admission),
    presence: {
      followed: a.presence.followed + b.presence.followed,
      overflow: a.presence.overflow + b.presence.overflow,
      unreadable: a.presence.unreadable + b.presence.unreadable,
    },
    gatewayTime: {
      used: a.gatewayTime.used + b.gatewayTime.used,
      ahead: a.gatewayTime.ahead + b.gatewayTime.ahead,
      tooOld: a.gatewayTime.tooOld + b.gatewayTime.tooOld,
      unreadable: a.gatewayTime.unreadable + b.gatewayTime.unreadable,
    },
    writeFailures: a.writeFailures + b.writeFailures,
    inFlight: a.inFlight + b.inFlight,
    inFlightBytes: a.inFlightBytes + b.inFlightBytes,
    reconnects: a.reconnects + b.reconnects,
  };
}

/** What stays of a slot that was given up: its counts, and nothing of how it is now. */
export function countsOf(stats: IngressStats): IngressStats {
  const { presence } = stats;
  return { ...stats, connected: true, inFlight: 0, inFlightBytes: 0, presence: { ...presence, followed: 0 } };
}

/** The neutral element of addStats(). */
export const NO_COUNTS: IngressStats = { ...NOTHING_YET, connected: true };

function addCounts(a: Readonly<Record<string, number>>, b: Readonly<Record<string, number>>): Readonly<Record<string, number>> {
  const sum = { ...a };
  for (const [key, count] of Object.entries(b)) sum[key] = (sum[key] ?? 0) + count;
  return sum;
}

function addAdmission(a: readonly AdmissionCount[], b: readonly AdmissionCount[]): readonly AdmissionCount[] {
  const sum = new Map<string, AdmissionCount>();
  for (const counted of [...a, ...b]) {
    const key = JSON.stringify([counted.action, counted.reason, counted.tenant]);
    const known = sum.get(key);
    sum.set(key, { ...counted, count: counted.count + (known?.count ?? 0) });
  }
  return [...sum.values()];
}
