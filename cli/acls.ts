/**
 * The rights that Kafka must give a worker and an ingress, and no more: the tests' brokers give these, docs/operations.md shows them.
 * Describe comes with Read and Write; an idempotent producer needs nothing of the cluster (Kafka 3.0 and later, KIP-679).
 */
import { hasLimits, tenantRawTopics } from "../bridge/admission/settings.ts";
import { targetTopics } from "./ingress-topics.ts";
import type { Config } from "./config/schema.ts";
import { wantedTopics } from "./topics/wanted-topics.ts";

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

type Where = Pick<Right, "name" | "prefix">;

export function workerRights(config: Config): Right[] {
  const { applicationId, topics, commands, presence, processing, shadow } = config;
  const { raw, normalized, aggregates, alerts, dlq, deviceState } = topics;
  return withAllTopics(config, [
    ...on("Topic", { name: raw }, "Read", "DescribeConfigs"),
    // read for the live stream
    ...[normalized, aggregates, alerts].flatMap((name) => on("Topic", { name }, "Read", "Write", "DescribeConfigs")),
    ...[dlq, deviceState].flatMap((name) => on("Topic", { name }, "Write", "DescribeConfigs")),
    ...on("Topic", { name: `${applicationId}-`, prefix: true }, "Create", "Read", "Write", "DescribeConfigs"),
    ...on("Group", { name: applicationId }, "Read"),
    ...(processing.guarantee === "exactly-once" ? on("TransactionalId", { name: `${applicationId}/`, prefix: true }, "Write") : []),
    ...(commands.enabled ? commandGateRights(config) : []),
    ...(presence === undefined ? [] : on("Topic", { name: presence.topic }, "Read", "DescribeConfigs")),
    ...(shadow.enabled ? shadowWorkerRights(config) : []),
  ]);
}

export function ingressRights(config: Config): Right[] {
  const { applicationId, topics, admission, commands, deviceRegistry, presence, mqtt, shadow } = config;
  const inGroup = mqtt.scaleOut !== undefined && mqtt.scaleOut.replica === undefined;
  return withAllTopics(config, [
    ...[...new Set([topics.raw, ...tenantRawTopics(admission).values(), topics.dlq])].flatMap((name) =>
      on("Topic", { name }, "Write", "DescribeConfigs"),
    ),
    ...(hasLimits(admission) || deviceRegistry !== undefined ? on("Topic", { name: admission.shedTopic }, "Write", "DescribeConfigs") : []),
    // The registry in each mode: a denial that another ingress' automatic registration crossed is written again.
    ...[deviceRegistry, presence].flatMap((table) =>
      table === undefined ? [] : on("Topic", { name: table.topic }, "Read", "Write", "DescribeConfigs"),
    ),
    ...(inGroup ? on("Group", { name: ingressGroup(applicationId) }, "Read") : []),
    ...(commands.enabled ? commandServiceRights(config) : []),
    ...(shadow.enabled ? shadowServiceRights(config) : []),
  ]);
}

/** In which the replicas of an ingress agree on their slots. */
export function ingressGroup(applicationId: string): string {
  return `${applicationId}-ingress`;
}

/** Works shadows out, and asks for changes over HTTP. */
function shadowWorkerRights({ shadow: { updatesTopic, topic } }: Config): Right[] {
  return [
    ...on("Topic", { name: updatesTopic }, "Read", "Write", "DescribeConfigs"),
    ...on("Topic", { name: topic }, "Write", "DescribeConfigs"),
  ];
}

/** Takes what devices report, and sends them what they should be. */
function shadowServiceRights({ applicationId, shadow: { updatesTopic, topic } }: Config): Right[] {
  return [
    ...on("Topic", { name: updatesTopic }, "Write", "DescribeConfigs"),
    ...on("Topic", { name: topic }, "Read", "DescribeConfigs"),
    ...on("Group", { name: `${applicationId}-shadow` }, "Read"),
  ];
}

/** Takes commands over HTTP, and tells what became of them. */
function commandGateRights({ commands: { topic, statusTopic } }: Config): Right[] {
  return [
    ...on("Topic", { name: topic }, "Read", "Write", "DescribeConfigs"),
    ...on("Topic", { name: statusTopic }, "Read", "DescribeConfigs"),
  ];
}

/** Carries commands out, and takes devices' answers; its dead letters are in the ingress' rights. */
function commandServiceRights({ applicationId, commands: { topic, ackTopic, statusTopic } }: Config): Right[] {
  const group = `${applicationId}-commands`;
  return [
    ...on("Topic", { name: topic }, "Read", "DescribeConfigs"),
    ...[ackTopic, statusTopic].flatMap((name) => on("Topic", { name }, "Read", "Write", "DescribeConfigs")),
    ...on("Group", { name: group }, "Read"),
    ...on("TransactionalId", { name: `${group}/`, prefix: true }, "Write"),
  ];
}

/** The settings of all topics are checked at the start, whoever uses them. */
function withAllTopics(config: Config, rights: readonly Right[]): Right[] {
  const named = new Set(rights.filter(({ resource }) => resource === "Topic").map(({ name }) => name));
  const others = wantedTopics(config).filter(({ name }) => !named.has(name));
  return [...rights, ...others.flatMap(({ name }) => on("Topic", { name }, "Describe", "DescribeConfigs"))];
}

/** A gateway writes what an ingress would, and looks at nothing. */
export function gatewayRights(config: Config): Right[] {
  const { raw, dlq, acks, shadow } = targetTopics(config);
  const written = new Set([raw, ...tenantRawTopics(config.admission).values(), dlq, acks, shadow]);
  return [...written].flatMap((name) => (name === undefined ? [] : on("Topic", { name }, "Write")));
}

function on(resource: Resource, which: Where, ...operations: Operation[]): Right[] {
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
