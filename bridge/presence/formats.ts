/** What a device says of itself on `.../state`, and the records of the presence topic (key `tenant|deviceId`, value JSON). */
import { parseDeviceKey } from "../../processors/formats/names.ts";
import { TopicTemplates } from "../topic-templates.ts";
import type { PresenceView } from "./presence-machine.ts";

/** Longest state that is read, bytes, and its longest reason, characters: the reason is written into each record. */
const MAX_STATE_BYTES = 4096;
const MAX_REASON = 128;

/** How every topic ends on which devices say whether they are there, and every filter for them. */
export const STATE_FILTER_END = "/state";
export const STATES = new TopicTemplates([`t/{tenant}/d/{deviceId}${STATE_FILTER_END}`]);

export function stateTopic(tenant: string, deviceId: string): string {
  return `t/${tenant}/d/${deviceId}${STATE_FILTER_END}`;
}

export interface DeviceStatement {
  readonly says: "online" | "offline";
  readonly reason: string;
}

/** `online`, `offline`, or JSON with `status` and perhaps `reason`. Undefined for anything else; an empty payload clears a retained one. */
export function parseState(payload: Uint8Array): DeviceStatement | undefined {
  if (payload.length === 0 || payload.length > MAX_STATE_BYTES) return undefined;
  const text = Buffer.from(payload.buffer, payload.byteOffset, payload.length).toString().trim();
  if (text === "online" || text === "offline") return { says: text, reason: "state" };
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof parsed !== "object" || parsed === null || !("status" in parsed)) return undefined;
  const { status } = parsed;
  if (status !== "online" && status !== "offline") return undefined;
  const reason =
    "reason" in parsed && typeof parsed.reason === "string" && parsed.reason !== "" ? parsed.reason.slice(0, MAX_REASON) : "state";
  return { says: status, reason };
}

/** A presence record. */
export interface PresenceRecord extends PresenceView {
  /** Who follows the device, where that is a gateway. */
  readonly gateway?: string;
  /** Likewise an ingress. A record with neither is of an ingress of before, and whoever reads it. */
  readonly ingress?: string;
}

/** Undefined for a key that is none. */
export function encodePresence(key: string, record: PresenceRecord): Buffer | undefined {
  const { status, reason, sinceTs, lastSeenTs, retained, gateway, ingress } = record;
  const device = parseDeviceKey(key);
  if (device === undefined) return undefined;
  const view = { v: 1, ...device, status, reason, sinceTs, lastSeenTs, gateway, ingress };
  return Buffer.from(JSON.stringify({ ...view, ...(retained ? { retained } : {}) }));
}

/** Undefined for what is no presence record. */
export function parsePresence(value: Buffer): PresenceRecord | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(value.toString());
  } catch {
    return undefined;
  }
  if (typeof parsed !== "object" || parsed === null) return undefined;
  const { status, reason, sinceTs, lastSeenTs, retained, gateway, ingress } = parsed as Partial<Record<keyof PresenceRecord, unknown>>;
  if (status !== "online" && status !== "offline" && status !== "stale") return undefined;
  if (typeof reason !== "string" || typeof sinceTs !== "number" || typeof lastSeenTs !== "number") return undefined;
  const view: PresenceView = { status, reason, sinceTs, lastSeenTs, retained: retained === true };
  if (typeof gateway === "string") return { ...view, gateway };
  return typeof ingress === "string" ? { ...view, ingress } : view;
}
