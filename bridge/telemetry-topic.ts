/** The MQTT topic of a device's telemetry: `t/{tenant}/d/{deviceId}/telemetry`. Source: shared design, section 8. */

/** Ids are at most this many UTF-8 bytes (processors/formats/names.ts, deviceKey). */
const MAX_ID_BYTES = 256;

/** As a topic template (topic-templates.ts). */
export const TELEMETRY_TEMPLATE = "t/{tenant}/d/{deviceId}/telemetry";

export interface TelemetryTopic {
  readonly tenant: string;
  readonly deviceId: string;
}

export function telemetryTopic(tenant: string, deviceId: string): string {
  return `t/${tenant}/d/${deviceId}/telemetry`;
}

/** A tenant or device id: not empty, not too long, without the key's separator "|". */
export function isId(id: string): boolean {
  return id !== "" && !id.includes("|") && Buffer.byteLength(id) <= MAX_ID_BYTES;
}
