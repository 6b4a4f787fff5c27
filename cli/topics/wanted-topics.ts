import { DEFAULT_MAX_MESSAGE_BYTES } from "../../eventlog/topic-defaults.ts";
import { hasLimits, tenantRawTopics } from "../../bridge/admission/settings.ts";
import type { TopicSpec } from "../../eventlog/port.ts";
import type { Config } from "../config/schema.ts";

/** Room beside the value: key, headers and batch header. Bytes. */
const RECORD_OVERHEAD_BYTES = 32_768;
const DEFAULT_PARTITIONS = 8;
/** 7 days. */
const DEFAULT_RETENTION_MS = 604_800_000;

/** The topics the job needs, as `sluice topics create` makes them and `worker` and `ingress` expect them. */
export function wantedTopics(config: Config): TopicSpec[] {
  const { deviceState, ...streams } = config.topics;
  const { deviceRegistry: registry, presence } = config;
  const {
    partitions = DEFAULT_PARTITIONS,
    replicationFactor,
    minInsyncReplicas,
    retentionMs = DEFAULT_RETENTION_MS,
  } = config.topicDefaults;
  const common = {
    "max.message.bytes": String(Math.max(DEFAULT_MAX_MESSAGE_BYTES, config.validation.maxValueBytes + RECORD_OVERHEAD_BYTES)),
    ...(minInsyncReplicas === undefined ? {} : { "min.insync.replicas": String(minInsyncReplicas) }),
  };
  const stream = { "cleanup.policy": "delete", "retention.ms": String(retentionMs), ...common };
  const table = { "cleanup.policy": "compact", ...common };
  const { enabled, topic, ackTopic, statusTopic } = config.commands;
  // The status of a command is needed until it expires, and its last one is enough.
  const statuses = { ...stream, "cleanup.policy": "compact,delete" };
  const names = new Set([...Object.values(streams), ...tenantRawTopics(config.admission).values()]);
  return [
    ...[...names].map((name) => ({ name, partitions, replicationFactor, config: stream })),
    { name: deviceState, partitions, replicationFactor, config: table },
    ...(enabled ? [topic, ackTopic].map((name) => ({ name, partitions, replicationFactor, config: stream })) : []),
    ...(enabled ? [{ name: statusTopic, partitions, replicationFactor, config: statuses }] : []),
    ...(config.shadow.enabled ? [{ name: config.shadow.updatesTopic, partitions, replicationFactor, config: stream }] : []),
    ...(config.shadow.enabled ? [{ name: config.shadow.topic, partitions, replicationFactor, config: table }] : []),
    ...(hasLimits(config.admission) || registry !== undefined
      ? [{ name: config.admission.shedTopic, partitions, replicationFactor, config: stream }]
      : []),
    ...(registry === undefined ? [] : [{ name: registry.topic, partitions, replicationFactor, config: table }]),
    ...(presence === undefined ? [] : [{ name: presence.topic, partitions, replicationFactor, config: table }]),
  ];
}
