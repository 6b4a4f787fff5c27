/** The MQTT topics that devices publish to: `t/{tenant}/d/{deviceId}/telemetry` and `.../cmd/ack`. Source: shared design, section 8. */

/** Ids are at most this many UTF-8 bytes (processors/formats/names.ts, deviceKey). */
const MAX_ID_BYTES = 256;

/** As a topic template (topic-templates.ts). */
export const TELEMETRY_TEMPLATE = "t/{tenant}/d/{deviceId}/telemetry";

/** Whose topic it is. */
export interface DeviceTopic {
  readonly tenant: string;
  readonly deviceId: string;
}

/** Of `t/{tenant}/d/{deviceId}/cmd/ack`, where a device answers commands; undefined for any other. */
export function parseAckTopic(topic: string): DeviceTopic | undefined {
  const levels = topic.split("/", 7);
  if (levels.length !== 6 || levels[0] !== "t" || levels[2] !== "d" || levels[4] !== "cmd" || levels[5] !== "ack") return undefined;
  const [, tenant, , deviceId] = levels;
  return isId(tenant) && isId(deviceId) ? { tenant, deviceId } : undefined;
}

export function telemetryTopic(tenant: string, deviceId: string): string {
  return `t/${tenant}/d/${deviceId}/telemetry`;
}

/** A tenant or device id: not empty, not too long, without the key's separator "|". */
export function isId(id: string): boolean {
  return id !== "" && !id.includes("|") && Buffer.byteLength(id) <= MAX_ID_BYTES;
}
