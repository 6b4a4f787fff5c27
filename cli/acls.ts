/**
 * The rights that Kafka must give a worker and an ingress, and no more: the tests' brokers give these, docs/operations.md shows them.
 * Describe comes with Read and Write; an idempotent producer needs nothing of the cluster (Kafka 3.0 and later, KIP-679).
 */
import type { Config } from "./config/schema.ts";

export type Operation = "Read" | "Write" | "Create" | "Describe" | "DescribeConfigs";
export type Resource = "Topic" | "Group" | "TransactionalId";

/** One right: Kafka's ACL without the principal, in Kafka's words. */
export interface Right {
  readonly operation: Operation;
  readonly resource: Resource;
  readonly name: string;
  /** `name` is the beginning of names (pattern type PREFIXED). Default false. */
  readonly prefix?: boolean;
}

type Names = Pick<Config, "applicationId" | "topics">;

/** In exactly-once mode; at least once the transactional ids are not used. */
export function workerRights({ applicationId, topics }: Names): Right[] {
  const { raw, normalized, aggregates, alerts, dlq, deviceState } = topics;
  const internal = { name: `${applicationId}-`, prefix: true };
  return [
    ...on("Topic", { name: raw }, "Read", "DescribeConfigs"),
    // read for the live stream
    ...[normalized, aggregates, alerts].flatMap((name) => on("Topic", { name }, "Read", "Write", "DescribeConfigs")),
    ...[dlq, deviceState].flatMap((name) => on("Topic", { name }, "Write", "DescribeConfigs")),
    ...on("Topic", internal, "Create", "Read", "Write", "DescribeConfigs"),
    ...on("Group", { name: applicationId }, "Read"),
    ...on("TransactionalId", { name: `${applicationId}/`, prefix: true }, "Write"),
  ];
}

/** It writes two topics and checks the settings of all before it starts. */
export function ingressRights({ topics }: Pick<Names, "topics">): Right[] {
  const { raw, dlq, ...others } = topics;
  return [
    ...[raw, dlq].flatMap((name) => on("Topic", { name }, "Write", "DescribeConfigs")),
    ...Object.values(others).flatMap((name) => on("Topic", { name }, "Describe", "DescribeConfigs")),
  ];
}

/** It writes what an ingress would, and looks at nothing. */
export function gatewayRights({ topics, commands }: Pick<Config, "topics" | "commands">): Right[] {
  const written = [topics.raw, topics.dlq, ...(commands.enabled ? [commands.ackTopic] : [])];
  return written.flatMap((name) => on("Topic", { name }, "Write"));
}

function on(resource: Resource, which: { readonly name: string; readonly prefix?: boolean }, ...operations: Operation[]): Right[] {
  return operations.map((operation) => ({ operation, resource, ...which }));
}

/** Rows of a Markdown table, one a resource: kind, name (a prefix ends in `*`), operations. */
export function rightsTable(rights: readonly Right[]): string[] {
  const rows = new Map<string, Operation[]>();
  for (const { operation, resource, name, prefix } of rights) {
    const row = `| ${resource} | \`${name}${prefix === true ? "*" : ""}\` |`;
    rows.set(row, [...(rows.get(row) ?? []), operation]);
  }
  return [...rows].map(([row, operations]) => `${row} ${operations.join(", ")} |`);
}
