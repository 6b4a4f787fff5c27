/**
 * A slot: one session at the broker and the devices that are its own. Slots move between replicas and sessions stay, so what a dead
 * replica had not acknowledged is delivered to whoever has the slot next.
 */
import { partitionForKey } from "../../eventlog/records/murmur2.ts";
import { answerRateOf, type AdmissionSettings, type BurstSettings, type LimitSettings } from "../admission/settings.ts";
import { BridgeError } from "../errors.ts";
import { STATE_FILTER_END } from "../presence/formats.ts";
import type { Owns } from "../route-cache.ts";
import { scaleOutProblem, type ScaleOutSettings } from "./settings.ts";
import { filterMatches } from "./topic-filter.ts";

export interface Slot {
  readonly number: number;
  readonly clientId: string;
  readonly topics: readonly string[];
  /** Retained messages on these are wanted at each start. */
  readonly stateTopics: readonly string[];
  /** What the session may still be subscribed to from another mode. */
  readonly formerTopics: readonly string[];
  /** Absent: all that comes is its own. */
  readonly owns?: Owns;
  /** Which part of a tenant's and of a device's messages comes to this slot: their limits are as much smaller. */
  readonly tenantShare: number;
  readonly deviceShare: number;
}

/** Of the replicas whose slots are named after `clientId`. */
export function sharedFilter(clientId: string, filter: string): string {
  return `$share/${clientId}/${filter}`;
}

/** What one ingress alone takes. */
export interface Subscriptions {
  readonly clientId: string;
  readonly topics: readonly string[];
  readonly stateTopics: readonly string[];
}

/** Throws `bad-settings`. */
export function slotsOf(settings: ScaleOutSettings, all: Subscriptions): Slot[] {
  const problem = scaleOutProblem(settings);
  if (problem !== undefined) throw new BridgeError("bad-settings", `mqtt.scaleOut.${problem.key} ${problem.rule}`);
  const count = settings.filters?.length ?? settings.slots ?? 0;
  const shared = all.topics.map((filter) => sharedFilter(all.clientId, filter));
  return Array.from({ length: count }, (_, number) => {
    const clientId = `${all.clientId}-${number}`;
    switch (settings.mode) {
      case "shared":
        return {
          number,
          clientId,
          topics: shared,
          stateTopics: [],
          formerTopics: [...all.topics, ...all.stateTopics],
          tenantShare: 1 / count,
          deviceShare: 1 / count,
        };
      case "hash":
        return {
          number,
          clientId,
          topics: all.topics,
          stateTopics: all.stateTopics,
          formerTopics: shared,
          owns: (_topic, key) => partitionForKey(key, 0, key.length, count) === number,
          tenantShare: 1 / count,
          deviceShare: 1,
        };
      case "filters": {
        const filters = settings.filters?.[number] ?? [];
        const kept = new Set(filters);
        return {
          number,
          clientId,
          topics: filters.filter((filter) => !filter.endsWith(STATE_FILTER_END)),
          stateTopics: filters.filter((filter) => filter.endsWith(STATE_FILTER_END)),
          formerTopics: [...shared, ...all.topics, ...all.stateTopics].filter((filter) => !kept.has(filter)),
          owns: (topic) => filters.some((filter) => filterMatches(filter, topic)),
          tenantShare: 1,
          deviceShare: 1,
        };
      }
    }
  });
}

/** The limits of one slot. A burst is at least one message. */
export function admissionOf(settings: AdmissionSettings, { tenantShare, deviceShare }: Slot): AdmissionSettings {
  // What answers may be where nothing is said of it is worked out of the whole limits, so before they are made smaller.
  const scaled = (limits: LimitSettings, answerRate: LimitSettings["answerRate"]): LimitSettings => ({
    ...limits,
    ...(limits.tenantRate && { tenantRate: part(limits.tenantRate, tenantShare) }),
    ...(limits.deviceRate && { deviceRate: part(limits.deviceRate, deviceShare) }),
    ...(answerRate && { answerRate: part(answerRate, deviceShare) }),
  });
  return {
    ...settings,
    ...scaled(settings, answerRateOf(settings)),
    badTopicRate: part(settings.badTopicRate, tenantShare),
    tenants: settings.tenants.map((tenant) => ({ ...scaled(tenant, answerRateOf(settings, tenant)), tenant: tenant.tenant })),
  };
}

function part<Rate extends BurstSettings>(rate: Rate, share: number): Rate {
  return { ...rate, perSecond: rate.perSecond * share, burst: Math.max(1, Math.ceil(rate.burst * share)) };
}
