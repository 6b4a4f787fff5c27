/** The MQTT topics that devices publish to: `t/{tenant}/d/{deviceId}/telemetry` and `.../cmd/ack`. Source: shared design, section 8. */

/** Ids are at most this many UTF-8 bytes (processors/formats/names.ts, deviceKey). */
const MAX_ID_BYTES = 256;

/** Whose topic it is. */
export interface DeviceTopic {
  readonly tenant: string;
  readonly deviceId: string;
}

/** Undefined when the topic is not a telemetry topic, or an id is empty, too long, or holds the key's separator "|". */
export function parseTelemetryTopic(topic: string): DeviceTopic | undefined {
  const levels = topic.split("/", 6);
  if (levels.length !== 5 || levels[0] !== "t" || levels[2] !== "d" || levels[4] !== "telemetry") return undefined;
  const [, tenant, , deviceId] = levels;
  return isId(tenant) && isId(deviceId) ? { tenant, deviceId } : undefined;
}

/** The same for `t/{tenant}/d/{deviceId}/cmd/ack`, where a device answers commands. */
export function parseAckTopic(topic: string): DeviceTopic | undefined {
  const levels = topic.split("/", 7);
  if (levels.length !== 6 || levels[0] !== "t" || levels[2] !== "d" || levels[4] !== "cmd" || levels[5] !== "ack") return undefined;
  const [, tenant, , deviceId] = levels;
  return isId(tenant) && isId(deviceId) ? { tenant, deviceId } : undefined;
}

export function telemetryTopic(tenant: string, deviceId: string): string {
  return `t/${tenant}/d/${deviceId}/telemetry`;
}

function isId(id: string): boolean {
  return id !== "" && !id.includes("|") && Buffer.byteLength(id) <= MAX_ID_BYTES;
}
