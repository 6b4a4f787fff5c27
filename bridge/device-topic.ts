/** The MQTT topics that devices publish to: `t/{tenant}/d/{deviceId}/telemetry`, `.../cmd/ack` and others. Source: shared design, section 8. */
import { SHADOW_DOORS } from "../processors/formats/shadow.ts";

/** Ids are at most this many UTF-8 bytes (processors/formats/names.ts, deviceKey). */
const MAX_ID_BYTES = 256;

/** As topic templates (topic-templates.ts). */
export const TELEMETRY_TEMPLATE = "t/{tenant}/d/{deviceId}/telemetry";
/** Where a device answers commands. */
export const ACK_TEMPLATE = "t/{tenant}/d/{deviceId}/cmd/ack";

/** Where a device says what its state is, and asks for its shadow. */
export const SHADOW_TEMPLATES = [SHADOW_DOORS.reported, SHADOW_DOORS.get].map((door) => `t/{tenant}/d/{deviceId}/${door}`);

/** Whose topic it is. */
export interface DeviceTopic {
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
