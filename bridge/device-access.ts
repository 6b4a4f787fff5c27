/**
 * What a device may do at the broker. Its name there (user name, or certificate CN) is `{tenant}/d/{deviceId}`, so one pattern
 * binds both: every topic it may use is `t/{its name}/...`. Used by the ACL generators and by the authorization webhook alike.
 */
import { SHADOW_DOORS } from "../processors/formats/shadow.ts";
import { isId, type DeviceTopic } from "./device-topic.ts";

/** Behind `t/{tenant}/d/{deviceId}/`. */
export const DEVICE_PUBLISHES = ["telemetry", "state", "cmd/ack", SHADOW_DOORS.reported, SHADOW_DOORS.get] as const;
export const DEVICE_READS = ["cmd", SHADOW_DOORS.delta, SHADOW_DOORS.rejected] as const;

/** What Sluice itself reads and writes there, as filters. */
export const SERVICE_READS = DEVICE_PUBLISHES.map((door) => `t/+/d/+/${door}`);
export const SERVICE_PUBLISHES = DEVICE_READS.map((door) => `t/+/d/+/${door}`);

export type BrokerAction = "publish" | "subscribe";

/** Undefined for a name that is none: other levels, empty or long ids, wildcards, "|" or control characters. */
export function parseIdentity(name: string): DeviceTopic | undefined {
  const levels = name.split("/", 4);
  if (levels.length !== 3 || levels[1] !== "d") return undefined;
  const [tenant, , deviceId] = levels;
  return isName(tenant) && isName(deviceId) ? { tenant, deviceId } : undefined;
}

export function identityOf({ tenant, deviceId }: DeviceTopic): string {
  return `${tenant}/d/${deviceId}`;
}

/** Whether the device of that name may use a topic. A filter with a wildcard is never one of its topics. */
export function deviceMay(name: string, action: BrokerAction, topic: string): boolean {
  if (parseIdentity(name) === undefined) return false;
  const doors: readonly string[] = action === "publish" ? DEVICE_PUBLISHES : DEVICE_READS;
  return doors.some((door) => topic === `t/${name}/${door}`);
}

/** Whether Sluice itself may: subscribe by the very filters (`$share/{group}/` before them too), publish on topics under them. */
export function serviceMay(action: BrokerAction, topic: string): boolean {
  if (action === "subscribe") {
    const filter = topic.replace(/^\$share\/[^/]+\//, "");
    return SERVICE_READS.includes(filter) || isUnder(SERVICE_READS, filter);
  }
  return isUnder(SERVICE_PUBLISHES, topic);
}

function isUnder(filters: readonly string[], topic: string): boolean {
  if (/[+#]/.test(topic)) return false;
  const levels = topic.split("/");
  return filters.some((filter) => {
    const wanted = filter.split("/");
    return wanted.length === levels.length && wanted.every((level, at) => (level === "+" ? levels[at] !== "" : level === levels[at]));
  });
}

function isName(id: string): boolean {
  if (!isId(id) || /[+#]/.test(id)) return false;
  for (let i = 0; i < id.length; i++) if (id.charCodeAt(i) < 0x20 || id.charCodeAt(i) === 0x7f) return false;
  return true;
}
