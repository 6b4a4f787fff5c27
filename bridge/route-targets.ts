/** Where records go, with how many partitions each topic has. */
import type { EventLog } from "../eventlog/port.ts";
import { tenantRawTopics, type AdmissionSettings } from "./admission/settings.ts";
import type { RouteTargets } from "./route-cache.ts";

/** `acks`, `shadow`: where devices' answers to commands and reports to shadows go; absent: nowhere, they are dead letters. */
export interface TargetTopics {
  readonly raw: string;
  readonly dlq: string;
  readonly acks?: string;
  readonly shadow?: string;
}

/** Rejects when a topic does not exist (LogError `unknown-topic`). */
export async function routeTargets(
  log: EventLog,
  topics: TargetTopics,
  admission: Pick<AdmissionSettings, "tenants">,
): Promise<RouteTargets> {
  const { raw, dlq, acks, shadow } = topics;
  const [rawPartitions, dlqPartitions, acksPartitions, shadowPartitions] = await Promise.all(
    [raw, dlq, acks ?? raw, shadow ?? raw].map((topic) => log.partitionCount(topic)),
  );
  const tenantRaw = new Map<string, { topic: string; partitions: number }>();
  for (const [tenant, topic] of tenantRawTopics(admission)) tenantRaw.set(tenant, { topic, partitions: await log.partitionCount(topic) });
  return { ...topics, rawPartitions, tenantRaw, dlqPartitions, acksPartitions, shadowPartitions };
}
