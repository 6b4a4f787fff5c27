/** Names that more than one folder writes or reads: topics, headers, keys, reason codes. Source: shared design, section 8. */

export const DEFAULT_TOPICS = {
  raw: "iot.telemetry.raw",
  normalized: "iot.telemetry.normalized",
  aggregates: "iot.telemetry.aggregates",
  alerts: "iot.alerts",
  dlq: "iot.telemetry.dlq",
  deviceState: "iot.device.state",
} as const;

/** Headers of a raw record, written by the ingress. Values are UTF-8 text; numbers in decimal. */
export const RAW_HEADERS = {
  topic: "mqtt.topic",
  qos: "mqtt.qos",
  dup: "mqtt.dup",
  retain: "mqtt.retain",
  contentType: "content-type",
  correlation: "mqtt.correlation",
  /** Seconds the message had left when it came (MQTT 5). */
  expiry: "mqtt.expiry",
  /** Before the name of an MQTT 5 user property. */
  userPrefix: "mqtt.user.",
  ingressTs: "ingress.ts",
  ingressId: "ingress.id",
} as const;

/** Fixed codes of the `dlq.reason` header. */
export const DLQ_REASONS = [
  "empty", // no value at all
  "too-large", // over validation.maxValueBytes
  "not-json", // bytes that are not UTF-8 JSON
  "not-object", // JSON, but neither an object nor an array of objects
  "schema", // a field of the wrong type, or a missing one
  "not-finite", // NaN or infinity where a number belongs
  "tenant-mismatch", // payload or key names another tenant than the topic
  "device-mismatch", // payload or key names another device than the topic
  "bad-topic", // the MQTT topic or the record key does not parse
  "bad-timestamp", // a ts that is no time
  "no-metrics", // nothing numeric left after normalizing
  "unknown-schema", // Confluent-framed with a schema id the registry does not know
  "avro", // Confluent-framed but not decodable with its schema
  "processing-error", // a processor threw
  "gateway-gap", // no message but what a gateway gave up (bridge/edge/gap.ts)
] as const;
export type DlqReason = (typeof DLQ_REASONS)[number];

/** Record key of everything per device. Neither part may hold "|" or be empty; ids are at most 256 UTF-8 bytes each. */
export function deviceKey(tenant: string, deviceId: string): string {
  return `${tenant}|${deviceId}`;
}

/** Undefined when the key has not exactly two non-empty parts. */
export function parseDeviceKey(key: string): { tenant: string; deviceId: string } | undefined {
  const bar = key.indexOf("|");
  if (bar <= 0 || bar === key.length - 1 || key.indexOf("|", bar + 1) !== -1) return undefined;
  return { tenant: key.slice(0, bar), deviceId: key.slice(bar + 1) };
}
