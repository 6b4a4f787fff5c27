/**
 * Whether a message may go on: is its device known, is it small enough, has its device and its tenant a token. One call a
 * message and nothing allocated for a known tenant and device. What more than one limit stops, the stricter policy decides:
 * drop, then shed, then delay.
 */
import type { Route } from "../route-cache.ts";
import { RecentMap } from "../recent-map.ts";
import { AdmissionCounts } from "./counts.ts";
import { TokenBucket, rateLimit, type RateLimit } from "./token-bucket.ts";
import type { AdmissionReason, AdmissionSettings, LimitSettings, RatePolicy, RateSettings } from "./settings.ts";

export type Verdict = "pass" | "delay" | "shed" | "drop" | "dead-letter";

/** What the registry of devices says of a message (bridge/registry/). */
export interface DeviceGate {
  /** Called for each message; `pass` may register a new device. */
  verdict(route: Route): "pass" | "shed" | "drop";
  /** Of the last verdict that was not `pass`. */
  readonly reason: AdmissionReason;
}

/**
 * Tenants and devices whose buckets are remembered, about 300 and 200 bytes each, so 43 MiB at the most. With more, whoever was
 * silent longest starts again with a full bucket.
 */
const MAX_TENANTS = 10_000;
const MAX_DEVICES = 200_000;

interface Rate {
  readonly limit: RateLimit;
  readonly policy: RatePolicy;
}

interface Tenant {
  readonly bucket: TokenBucket;
  readonly rate: Rate | undefined;
  readonly deviceRate: Rate | undefined;
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
  readonly #buckets = new RecentMap<TokenBucket>(MAX_DEVICES);

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
    this.wasStopped = false;
    if (this.#devices !== undefined) {
      const verdict = this.#devices.verdict(route);
      if (verdict !== "pass") {
        this.reason = this.#devices.reason;
        this.wasStopped = true;
        return verdict;
      }
    }
    const tenant = this.#tenants.get(route.tenant) ?? this.#addTenant(route.tenant);
    const { maxPayload } = tenant;
    if (maxPayload !== undefined && payloadBytes > maxPayload.bytes) {
      this.reason = "payload-size";
      return maxPayload.policy;
    }
    return this.#byRate(tenant, route, nowMs, canHold);
  }

  /** Whether the registry stops this device. */
  isStopped(route: Route): boolean {
    return this.#devices !== undefined && this.#devices.verdict(route) !== "pass";
  }

  /** A delayed message that will not be let in after all (its connection is gone): its tokens are free again. */
  giveBack(route: Route): void {
    const tenant = this.#tenants.get(route.tenant);
    if (tenant?.rate !== undefined) tenant.bucket.giveBack(tenant.rate.limit);
    if (tenant?.deviceRate !== undefined) this.#buckets.get(route.deviceKey)?.giveBack(tenant.deviceRate.limit);
  }

  #byRate(tenant: Tenant, route: Route, nowMs: number, canHold: boolean): Verdict {
    const { rate, deviceRate } = tenant;
    const bucket = deviceRate === undefined ? undefined : this.#bucketOf(route.deviceKey);
    const tenantWaitMs = rate === undefined ? 0 : tenant.bucket.waitMs(rate.limit, nowMs);
    const deviceWaitMs = deviceRate === undefined || bucket === undefined ? 0 : bucket.waitMs(deviceRate.limit, nowMs);
    let verdict: Verdict = "pass";
    if (tenantWaitMs > 0 || deviceWaitMs > 0) {
      verdict = this.#overLimit(rate, tenantWaitMs, deviceRate, deviceWaitMs, canHold);
      if (verdict !== "delay") return verdict;
      this.releaseAtMs = nowMs + Math.max(tenantWaitMs, deviceWaitMs);
    }
    if (rate !== undefined) tenant.bucket.take(rate.limit, nowMs);
    if (deviceRate !== undefined) bucket?.take(deviceRate.limit, nowMs);
    return verdict;
  }

  #overLimit(
    rate: Rate | undefined,
    tenantWaitMs: number,
    deviceRate: Rate | undefined,
    deviceWaitMs: number,
    canHold: boolean,
  ): "delay" | "shed" | "drop" {
    this.reason = deviceWaitMs > 0 ? "device-rate" : "tenant-rate";
    const ofTenant = tenantWaitMs > 0 ? rate?.policy : undefined;
    const ofDevice = deviceWaitMs > 0 ? deviceRate?.policy : undefined;
    if (ofTenant === "drop" || ofDevice === "drop") return "drop";
    if (ofTenant === "shed" || ofDevice === "shed") return "shed";
    return canHold && Math.max(tenantWaitMs, deviceWaitMs) <= this.#settings.maxDelayMs ? "delay" : this.#settings.overflow;
  }

  #bucketOf(deviceKey: string): TokenBucket {
    let bucket = this.#buckets.get(deviceKey);
    if (bucket === undefined) this.#buckets.set(deviceKey, (bucket = new TokenBucket()));
    return bucket;
  }

  #addTenant(name: string): Tenant {
    const own = this.#own.get(name);
    const of = (rate: RateSettings | undefined): Rate | undefined =>
      rate && { limit: rateLimit(rate.perSecond, rate.burst), policy: rate.policy };
    const tenant: Tenant = {
      bucket: new TokenBucket(),
      rate: of(own?.tenantRate ?? this.#settings.tenantRate),
      deviceRate: of(own?.deviceRate ?? this.#settings.deviceRate),
      maxPayload: own?.maxPayload ?? this.#settings.maxPayload,
    };
    this.#tenants.set(name, tenant);
    return tenant;
  }
}
