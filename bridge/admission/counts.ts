/** What admission did, by action, reason and tenant. Bounded: tenants beyond the first ones that were limited count as one. */
import type { AdmissionReason } from "./settings.ts";

export type CountedAction = "delay" | "shed" | "drop";
/** `bad-topic-rate`: of no device, so the gate was not asked (bad-topics.ts). */
export type CountedReason = AdmissionReason | "bad-topic-rate";

export interface AdmissionCount {
  readonly action: CountedAction;
  readonly reason: CountedReason;
  readonly tenant: string;
  count: number;
}

/** Tenants with a label of their own in the metrics: 20 series each at the most. */
const MAX_TENANTS = 100;
/** No tenant's name: "|" is not allowed in one. */
const OTHER_TENANTS = "|other";

export class AdmissionCounts {
  readonly #counts = new Map<string, AdmissionCount>();
  readonly #tenants = new Set<string>();

  add(action: CountedAction, reason: AdmissionReason, tenant: string): void {
    if (this.#tenants.size < MAX_TENANTS) this.#tenants.add(tenant);
    const label = this.#tenants.has(tenant) ? tenant : OTHER_TENANTS;
    const key = `${action} ${reason} ${label}`;
    const known = this.#counts.get(key);
    if (known !== undefined) known.count++;
    else this.#counts.set(key, { action, reason, tenant: label, count: 1 });
  }

  /** @param action absent: all */
  total(action?: CountedAction): number {
    let sum = 0;
    for (const entry of this.#counts.values()) if (action === undefined || entry.action === action) sum += entry.count;
    return sum;
  }

  list(): AdmissionCount[] {
    return [...this.#counts.values()].map((entry) => ({ ...entry }));
  }
}
