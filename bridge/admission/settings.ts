/** What admission can be told; the configuration's `admission` section (docs/admission.md). */
import type { TemplateSetting } from "../topic-templates.ts";

/** `delay`: not acknowledged until there is a token. `shed`: into the shed topic, nothing lost. `drop`: acknowledged, counted, gone. */
export type RatePolicy = "delay" | "shed" | "drop";
export type PayloadPolicy = "dead-letter" | "shed" | "drop";

export interface BurstSettings {
  /** Messages a second. */
  readonly perSecond: number;
  /** Messages at once after a pause. */
  readonly burst: number;
}

export interface RateSettings extends BurstSettings {
  readonly policy: RatePolicy;
}

export interface PayloadSettings {
  readonly bytes: number;
  readonly policy: PayloadPolicy;
}

/** Absent: no limit. */
export interface LimitSettings {
  /** Of all devices of a tenant together; of their answers together as much again. */
  readonly tenantRate?: RateSettings;
  /** Of each device. */
  readonly deviceRate?: RateSettings;
  /** Of each device's answers and states, which are no telemetry. Absent: as answerRateOf() says. */
  readonly answerRate?: RateSettings;
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
  /** Of dead letters of topics that belong to no device, all together; what is over it is dropped (bad-topics.ts). */
  readonly badTopicRate: BurstSettings;
  /** A message that would have to wait longer under `delay` goes the way of `overflow`. */
  readonly maxDelayMs: number;
  readonly overflow: "shed" | "drop";
  readonly shedTopic: string;
}

export const ADMISSION_DEFAULTS: AdmissionSettings = {
  templates: ["t/{tenant}/d/{deviceId}/telemetry"],
  tenants: [],
  // Far more than anybody reads, and the beginning of a mistake stays whole. At the most 1.6 MB/s of letters.
  badTopicRate: { perSecond: 100, burst: 1000 },
  maxDelayMs: 1000,
  overflow: "shed",
  shedTopic: "iot.telemetry.shed",
};

/**
 * Why a message is not simply let in: the header of a shed record, and a label of the metrics. `answer-rate`, `tenant-answer-rate`: what
 * `device-rate` and `tenant-rate` are for telemetry. `window-full`: it waited for a token, and others would have had to wait for it.
 */
export type AdmissionReason =
  | "tenant-rate"
  | "device-rate"
  | "tenant-answer-rate"
  | "answer-rate"
  | "payload-size"
  | "unknown-device"
  | "denied-device"
  | "window-full";

/**
 * What a device may answer where nothing is said of it: at once as many as there can be commands for it (COMMAND_BOUNDS.deviceQueue), and
 * then far more than anybody has for one device to do.
 */
const DEFAULT_ANSWERS = { perSecond: 20, burst: 100 } as const;

/**
 * The limit of a device's answers, in a tenant or in all others: as set, else the default, or the limit of its telemetry where that is
 * higher. Undefined where nothing limits its telemetry.
 */
export function answerRateOf(settings: AdmissionSettings, own?: LimitSettings): RateSettings | undefined {
  const given = own?.answerRate ?? settings.answerRate;
  if (given !== undefined) return given;
  const ofDevice = own?.deviceRate ?? settings.deviceRate;
  const policy = (ofDevice ?? own?.tenantRate ?? settings.tenantRate)?.policy;
  if (policy === undefined) return undefined;
  const { perSecond, burst } = DEFAULT_ANSWERS;
  return { perSecond: Math.max(perSecond, ofDevice?.perSecond ?? 0), burst: Math.max(burst, ofDevice?.burst ?? 0), policy };
}

/** The raw topics of tenants that have their own, by tenant. */
export function tenantRawTopics({ tenants }: Pick<AdmissionSettings, "tenants">): ReadonlyMap<string, string> {
  return new Map(tenants.flatMap(({ tenant, rawTopic }) => (rawTopic === undefined ? [] : [[tenant, rawTopic] as const])));
}

/** Without limits nothing is asked per message. */
export function hasLimits(settings: AdmissionSettings): boolean {
  return [settings, ...settings.tenants].some(
    ({ tenantRate, deviceRate, answerRate, maxPayload }) => (tenantRate ?? deviceRate ?? answerRate ?? maxPayload) !== undefined,
  );
}
