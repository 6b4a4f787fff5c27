/**
 * Whether a message may go on: is its device known, is it small enough, has its device and its tenant a token. One call a
 * message and nothing allocated for a known tenant and device. What more than one limit stops, the stricter policy decides:
 * drop, then shed, then delay. Answers have tokens of their own, so that no flood of telemetry takes theirs.
 */
import type { Route } from "../route-cache.ts";
import { RecentMap } from "../recent-map.ts";
import { AdmissionCounts } from "./counts.ts";
import { TokenBucket, rateLimit, type RateLimit } from "./token-bucket.ts";
import {
  answerRateOf,
  type AdmissionReason,
  type AdmissionSettings,
  type LimitSettings,
  type RatePolicy,
  type RateSettings,
} from "./settings.ts";

export type Verdict = "pass" | "delay" | "shed" | "drop" | "dead-letter";

/** What the registry of devices says of a message (bridge/registry/). */
export interface DeviceGate {
  /** Called for each message; `pass` may register a new device. */
  verdict(route: Route): "pass" | "shed" | "drop";
  /** Of the last verdict that was not `pass`. */
  readonly reason: AdmissionReason;
}

/**
 * Tenants, and devices that send telemetry and devices that answer, whose buckets are remembered: about 500 and 200 bytes each, so 81 MiB
 * at the most. With more, whoever was silent longest starts again with a full bucket.
 */
const MAX_TENANTS = 10_000;
const MAX_DEVICES = 200_000;

interface Rate {
  readonly limit: RateLimit;
  readonly policy: RatePolicy;
}

/** Of a tenant's telemetry, or of its answers. */
interface Rates {
  readonly bucket: TokenBucket;
  readonly rate: Rate | undefined;
  readonly deviceRate: Rate | undefined;
  /** By device, of all tenants. */
  readonly buckets: RecentMap<TokenBucket>;
  readonly tenantReason: AdmissionReason;
  readonly deviceReason: AdmissionReason;
}

interface Tenant {
  readonly telemetry: Rates;
  readonly answers: Rates;
  readonly maxPayload: LimitSettings["maxPayload"];
}

export class AdmissionGate {
  readonly counts = new AdmissionCounts();
  /** Of the last verdict that was not `pass`. */
  reason: AdmissionReason = "tenant-rate";
  /** Of the last `delay`, on the clock of `nowMs`. Never earlier for a later message of the same device. */
  releaseAtMs = 0;
  /** The last message was stopped for its device, not for its rate or size. */
  wasStopped = false;
  readonly #settings: AdmissionSettings;
  readonly #devices: DeviceGate | undefined;
  readonly #own: ReadonlyMap<string, LimitSettings>;
  readonly #tenants = new RecentMap<Tenant>(MAX_TENANTS);
  readonly #telemetry = new RecentMap<TokenBucket>(MAX_DEVICES);
  readonly #answers = new RecentMap<TokenBucket>(MAX_DEVICES);

  constructor(settings: AdmissionSettings, devices?: DeviceGate) {
    this.#settings = settings;
    this.#devices = devices;
    this.#own = new Map(settings.tenants.map((own) => [own.tenant, own]));
  }

  get overflow(): "shed" | "drop" {
    return this.#settings.overflow;
  }

  /** @param canHold there is room for one more delayed message */
  decide(route: Route, payloadBytes: number, nowMs: number, canHold: boolean): Verdict {
    const stopped = this.#stopped(route);
    if (stopped !== undefined) return stopped;
    const tenant = this.#tenantOf(route);
    const { maxPayload } = tenant;
    if (maxPayload !== undefined && payloadBytes > maxPayload.bytes) {
      this.reason = "payload-size";
      return maxPayload.policy;
    }
    return this.#byRate(ratesOf(tenant, route), route, nowMs, canHold);
  }

  /**
   * Whether a state is taken; if not, it is gone. Nothing is written for it, so it neither waits nor is shed: a newer one follows, or
   * the broker remembers it. It counts for its device alone: a whole tenant says at once that it is back, and all of it is wanted.
   */
  takesState(route: Route, nowMs: number): boolean {
    if (this.#stopped(route) !== undefined) return false;
    const { deviceRate, buckets } = this.#tenantOf(route).answers;
    if (deviceRate === undefined) return true;
    const bucket = bucketOf(buckets, route.deviceKey);
    if (bucket.waitMs(deviceRate.limit, nowMs) > 0) {
      this.reason = "answer-rate";
      return false;
    }
    bucket.take(deviceRate.limit, nowMs);
    return true;
  }

  /** A delayed message that will not be let in after all (its connection is gone): its tokens are free again. */
  giveBack(route: Route): void {
    const tenant = this.#tenants.get(route.tenant);
    if (tenant === undefined) return;
    const { bucket, rate, deviceRate, buckets } = ratesOf(tenant, route);
    if (rate !== undefined) bucket.giveBack(rate.limit);
    if (deviceRate !== undefined) buckets.get(route.deviceKey)?.giveBack(deviceRate.limit);
  }

  #stopped(route: Route): "shed" | "drop" | undefined {
    this.wasStopped = false;
    if (this.#devices === undefined) return undefined;
    const verdict = this.#devices.verdict(route);
    if (verdict === "pass") return undefined;
    this.reason = this.#devices.reason;
    this.wasStopped = true;
    return verdict;
  }

  #byRate(rates: Rates, route: Route, nowMs: number, canHold: boolean): Verdict {
    const { rate, deviceRate } = rates;
    const bucket = deviceRate === undefined ? undefined : bucketOf(rates.buckets, route.deviceKey);
    const tenantWaitMs = rate === undefined ? 0 : rates.bucket.waitMs(rate.limit, nowMs);
    const deviceWaitMs = deviceRate === undefined || bucket === undefined ? 0 : bucket.waitMs(deviceRate.limit, nowMs);
    let verdict: Verdict = "pass";
    if (tenantWaitMs > 0 || deviceWaitMs > 0) {
      verdict = this.#overLimit(rates, tenantWaitMs, deviceWaitMs, canHold);
      if (verdict !== "delay") return verdict;
      this.releaseAtMs = nowMs + Math.max(tenantWaitMs, deviceWaitMs);
    }
    if (rate !== undefined) rates.bucket.take(rate.limit, nowMs);
    if (deviceRate !== undefined) bucket?.take(deviceRate.limit, nowMs);
    return verdict;
  }

  #overLimit(rates: Rates, tenantWaitMs: number, deviceWaitMs: number, canHold: boolean): "delay" | "shed" | "drop" {
    this.reason = deviceWaitMs > 0 ? rates.deviceReason : rates.tenantReason;
    const ofTenant = tenantWaitMs > 0 ? rates.rate?.policy : undefined;
    const ofDevice = deviceWaitMs > 0 ? rates.deviceRate?.policy : undefined;
    if (ofTenant === "drop" || ofDevice === "drop") return "drop";
    if (ofTenant === "shed" || ofDevice === "shed") return "shed";
    return canHold && Math.max(tenantWaitMs, deviceWaitMs) <= this.#settings.maxDelayMs ? "delay" : this.#settings.overflow;
  }

  #tenantOf({ tenant: name }: Route): Tenant {
    return this.#tenants.get(name) ?? this.#addTenant(name);
  }

  #addTenant(name: string): Tenant {
    const own = this.#own.get(name);
    const rate = rateOf(own?.tenantRate ?? this.#settings.tenantRate);
    const tenant: Tenant = {
      telemetry: {
        bucket: new TokenBucket(),
        rate,
        deviceRate: rateOf(own?.deviceRate ?? this.#settings.deviceRate),
        buckets: this.#telemetry,
        tenantReason: "tenant-rate",
        deviceReason: "device-rate",
      },
      answers: {
        bucket: new TokenBucket(),
        rate,
        deviceRate: rateOf(answerRateOf(this.#settings, own)),
        buckets: this.#answers,
        tenantReason: "tenant-answer-rate",
        deviceReason: "answer-rate",
      },
      maxPayload: own?.maxPayload ?? this.#settings.maxPayload,
    };
    this.#tenants.set(name, tenant);
    return tenant;
  }
}

function ratesOf({ telemetry, answers }: Tenant, { kind }: Route): Rates {
  return kind === "telemetry" ? telemetry : answers;
}

function bucketOf(buckets: RecentMap<TokenBucket>, deviceKey: string): TokenBucket {
  let bucket = buckets.get(deviceKey);
  if (bucket === undefined) buckets.set(deviceKey, (bucket = new TokenBucket()));
  return bucket;
}

function rateOf(setting: RateSettings | undefined): Rate | undefined {
  return setting && { limit: rateLimit(setting.perSecond, setting.burst), policy: setting.policy };
}
