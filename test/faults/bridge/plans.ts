/** The loads of each fault, and the limits that our ingress is given for them. */
import { FAULTS, type Fault, type FaultName, type Scale } from "./faults.ts";
import type { LoadPlan } from "./load.ts";

export interface LoadSize {
  readonly messages: number;
  readonly devices: number;
  /** Messages a second. */
  readonly rate: number;
}

const QUIET_TENANTS = 4;
const NOISY_TENANT = "noisy";
const NOISY_FACTOR = 50;
const LIMIT_PER_SECOND = 100;

/** Of a tenant that no fault but `noisy-tenant` has. */
export const ADMISSION = {
  tenants: [{ tenant: NOISY_TENANT, tenantRate: { perSecond: LIMIT_PER_SECOND, burst: LIMIT_PER_SECOND, policy: "shed" } }],
};

/** The messages of a fault at one QoS; their names hold both. */
export function plansFor(fault: FaultName, qos: 1 | 2, size: LoadSize, scale: Scale): LoadPlan[] {
  const { connections }: Fault = FAULTS[fault];
  const name = `${fault}-qos${qos}`;
  if (fault === "noisy-tenant") return noisyPlans(name, qos, size);
  const devices = connections?.[scale] ?? size.devices;
  const perDevice = Math.ceil(size.messages / devices);
  return [{ name, tenant: `qos${qos}`, qos, devices, perDevice, links: connections?.[scale], rate: size.rate }];
}

/** Half of the messages is the noisy tenant's, at fifty times its limit; the others' come as fast, from four tenants together. */
function noisyPlans(name: string, qos: 1 | 2, { messages, devices }: LoadSize): LoadPlan[] {
  const rate = LIMIT_PER_SECOND * NOISY_FACTOR;
  const perTenant = Math.ceil(devices / 2 / QUIET_TENANTS);
  const plan = (tenant: string, count: number, share: number): LoadPlan => ({
    name: `${name}-${tenant}`,
    tenant,
    qos,
    devices: count,
    perDevice: Math.ceil((messages * share) / count),
    rate: rate * share * 2,
  });
  const quiet = Array.from({ length: QUIET_TENANTS }, (_, i) => plan(`quiet${i}`, perTenant, 1 / 2 / QUIET_TENANTS));
  return [plan(NOISY_TENANT, Math.ceil(devices / 2), 1 / 2), ...quiet];
}
