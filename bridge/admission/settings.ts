/** What admission can be told; the configuration's `admission` section (docs/admission.md). */
import type { TemplateSetting } from "../topic-templates.ts";

/** `delay`: not acknowledged until there is a token. `shed`: into the shed topic, nothing lost. `drop`: acknowledged, counted, gone. */
export type RatePolicy = "delay" | "shed" | "drop";
export type PayloadPolicy = "dead-letter" | "shed" | "drop";

export interface RateSettings {
  /** Messages a second. */
  readonly perSecond: number;
  /** Messages at once after a pause. */
  readonly burst: number;
  readonly policy: RatePolicy;
}

export interface PayloadSettings {
  readonly bytes: number;
  readonly policy: PayloadPolicy;
}

/** Absent: no limit. */
export interface LimitSettings {
  /** Of all devices of a tenant together. */
  readonly tenantRate?: RateSettings;
  /** Of each device. */
  readonly deviceRate?: RateSettings;
  readonly maxPayload?: PayloadSettings;
}

/** Limits of a tenant's own; what one leaves out is as for everybody. */
export interface TenantSettings extends LimitSettings {
  readonly tenant: string;
  /** Where its telemetry goes instead of the raw topic of all. */
  readonly rawTopic?: string;
}

export interface AdmissionSettings extends LimitSettings {
  readonly templates: readonly TemplateSetting[];
  readonly tenants: readonly TenantSettings[];
  /** A message that would have to wait longer under `delay` goes the way of `overflow`. */
  readonly maxDelayMs: number;
  readonly overflow: "shed" | "drop";
  readonly shedTopic: string;
}

export const ADMISSION_DEFAULTS: AdmissionSettings = {
  templates: ["t/{tenant}/d/{deviceId}/telemetry"],
  tenants: [],
  maxDelayMs: 1000,
  overflow: "shed",
  shedTopic: "iot.telemetry.shed",
};

/**
 * Why a message is not simply let in: the header of a shed record, and a label of the metrics. `window-full`: it waited for a token,
 * and others would have had to wait for it.
 */
export type AdmissionReason = "tenant-rate" | "device-rate" | "payload-size" | "unknown-device" | "denied-device" | "window-full";

/** The raw topics of tenants that have their own, by tenant. */
export function tenantRawTopics({ tenants }: Pick<AdmissionSettings, "tenants">): ReadonlyMap<string, string> {
  return new Map(tenants.flatMap(({ tenant, rawTopic }) => (rawTopic === undefined ? [] : [[tenant, rawTopic] as const])));
}

/** Without limits nothing is asked per message. */
export function hasLimits(settings: AdmissionSettings): boolean {
  return [settings, ...settings.tenants].some(
    ({ tenantRate, deviceRate, maxPayload }) => tenantRate !== undefined || deviceRate !== undefined || maxPayload !== undefined,
  );
}
