/** The MQTT topic of a device's telemetry: `t/{tenant}/d/{deviceId}/telemetry`. Source: shared design, section 8. */

/** Ids are at most this many UTF-8 bytes (processors/formats/names.ts, deviceKey). */
const MAX_ID_BYTES = 256;

export interface TelemetryTopic {
  readonly tenant: string;
  readonly deviceId: string;
}

/** Undefined when the topic is not a telemetry topic, or an id is empty, too long, or holds the key's separator "|". */
export function parseTelemetryTopic(topic: string): TelemetryTopic | undefined {
  const levels = topic.split("/", 6);
  if (levels.length !== 5 || levels[0] !== "t" || levels[2] !== "d" || levels[4] !== "telemetry") return undefined;
  const [, tenant, , deviceId] = levels;
  return isId(tenant) && isId(deviceId) ? { tenant, deviceId } : undefined;
}

export function telemetryTopic(tenant: string, deviceId: string): string {
  return `t/${tenant}/d/${deviceId}/telemetry`;
}

function isId(id: string): boolean {
  return id !== "" && !id.includes("|") && Buffer.byteLength(id) <= MAX_ID_BYTES;
}
