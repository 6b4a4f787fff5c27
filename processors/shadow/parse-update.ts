/** Records of `iot.shadow.updates`: what people want of a device, and what devices say. */
import { isUtf8 } from "node:buffer";
import type { ByteSlice } from "../../state/serdes.ts";
import { hasBackslashKey } from "../backslash-keys.ts";
import { parseDeviceKey, RAW_HEADERS } from "../formats/names.ts";
import {
  MAX_SHADOW_UPDATE_BYTES,
  SHADOW_DOORS,
  shadowReportProblem,
  shadowRequestProblem,
  withoutName,
  type ShadowBounds,
  type ShadowReport,
  type ShadowRequest,
} from "../formats/shadow.ts";
import { problem, type Problem } from "../reject.ts";

export interface DeviceName {
  readonly tenant: string;
  readonly deviceId: string;
}

export type ShadowUpdate =
  | { readonly kind: "request"; readonly device: DeviceName; readonly request: ShadowRequest }
  | { readonly kind: "report"; readonly device: DeviceName; readonly report: ShadowReport }
  /** The device asks for its shadow. */
  | { readonly kind: "get"; readonly device: DeviceName }
  /** A report that is none: the device is told so, in words that hold nothing of it. */
  | { readonly kind: "rejected"; readonly device: DeviceName; readonly problem: Problem; readonly told: string }
  /** What the broker only remembers: it was said long ago, and again at each subscription. */
  | { readonly kind: "retained" };

/**
 * What came over MQTT has its topic in a header, which names the device and what it may mean: a device's bytes are never read as a
 * request of people's. Everything else is such a request.
 */
export function parseUpdate(
  key: string | null,
  value: ByteSlice | null,
  headerText: (name: string) => string | undefined,
  bounds: ShadowBounds,
): ShadowUpdate | Problem {
  const device = key === null ? undefined : parseDeviceKey(key);
  if (device === undefined) return problem("bad-topic", "the key is not tenant|deviceId");
  const topic = headerText(RAW_HEADERS.topic);
  if (topic === undefined) return parseRequest(device, value, bounds);
  const door = `t/${device.tenant}/d/${device.deviceId}/`;
  if (topic !== door + SHADOW_DOORS.reported && topic !== door + SHADOW_DOORS.get)
    return problem("device-mismatch", "mqtt.topic is none of the key's device");
  if (headerText(RAW_HEADERS.retain) === "1") return { kind: "retained" };
  return topic === door + SHADOW_DOORS.get ? { kind: "get", device } : parseReport(device, value, bounds);
}

function parseRequest(device: DeviceName, value: ByteSlice | null, bounds: ShadowBounds): ShadowUpdate | Problem {
  const parsed = parseJson(value);
  if ("reason" in parsed) return parsed;
  const wrong = shadowRequestProblem(parsed.json, bounds);
  if (wrong !== undefined) return problem("schema", wrong);
  const request = parsed.json as ShadowRequest;
  if (request.tenant !== device.tenant || request.deviceId !== device.deviceId)
    return problem("device-mismatch", "the key is not tenant|deviceId of the value");
  return { kind: "request", device, request };
}

function parseReport(device: DeviceName, value: ByteSlice | null, bounds: ShadowBounds): ShadowUpdate {
  const parsed = parseJson(value);
  // The parser's own words quote what it reads.
  if ("reason" in parsed)
    return { kind: "rejected", device, problem: parsed, told: parsed.reason === "not-json" ? "not JSON in UTF-8" : parsed.message };
  const wrong = shadowReportProblem(parsed.json, bounds);
  if (wrong === undefined) return { kind: "report", device, report: parsed.json as ShadowReport };
  return { kind: "rejected", device, problem: problem("schema", wrong), told: withoutName(wrong) };
}

function parseJson(value: ByteSlice | null): { readonly json: unknown } | Problem {
  if (value === null || value.end <= value.start) return problem("empty", "no value");
  const { bytes, start, end } = value;
  if (end - start > MAX_SHADOW_UPDATE_BYTES)
    return problem("too-large", `${end - start} bytes, and ${MAX_SHADOW_UPDATE_BYTES} are allowed`);
  if (!isUtf8(bytes.subarray(start, end))) return problem("not-json", "not UTF-8");
  const text = bytes.toString("utf8", start, end);
  if (text.includes("\\") && hasBackslashKey(text)) return problem("schema", "a name with a backslash");
  try {
    return { json: JSON.parse(text) as unknown };
  } catch (error) {
    return problem("not-json", error instanceof Error ? error.message : String(error));
  }
}
