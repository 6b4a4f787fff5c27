/** Records of `iot.shadows`, read back. */
import type { RecordsView } from "../../eventlog/records/view.ts";
import { isJsonObject } from "../../processors/formats/merge-patch.ts";
import { RAW_HEADERS, parseDeviceKey } from "../../processors/formats/names.ts";
import { SHADOW_HEADERS, emptyShadow, type ShadowDocument, type ShadowOutcome } from "../../processors/formats/shadow.ts";
import type { Rejection } from "./rejection.ts";

export interface ShadowRecord {
  readonly key: string;
  /** Undefined: there is none (any more). */
  readonly document: ShadowDocument | undefined;
  /** As its device gets it: an empty one where there is none. Undefined: somebody else took it away, and its version with it. */
  readonly told: ShadowDocument | undefined;
  readonly bytes: number;
  readonly asked: boolean;
  /** Of whom it is the answer. */
  readonly result: { readonly id: string; readonly outcome: ShadowOutcome } | undefined;
  /** The device is to be told that a report of it was refused. */
  readonly rejection: Rejection | undefined;
}

/** Undefined for what is none of ours: somebody else wrote into the topic. */
export function readShadowRecord(records: RecordsView, index: number): ShadowRecord | undefined {
  const [key, value] = [records.key(index)?.toString(), records.value(index)];
  const device = key === undefined ? undefined : parseDeviceKey(key);
  if (key === undefined || device === undefined) return undefined;
  const document = value === null ? undefined : parseDocument(value);
  if (value !== null && (document?.tenant !== device.tenant || document.deviceId !== device.deviceId)) return undefined;
  const headers = records.headers(index);
  const bytes = (name: string): Buffer | undefined => {
    const value = headers.find((header) => header.key === name)?.value ?? undefined;
    return value && Buffer.from(value);
  };
  const text = (name: string): string | undefined => bytes(name)?.toString();
  const [id, outcome] = [text(SHADOW_HEADERS.request), text(SHADOW_HEADERS.outcome)];
  const [code, message = ""] = [text(SHADOW_HEADERS.rejected), text(SHADOW_HEADERS.rejectedMessage)];
  const correlation = bytes(RAW_HEADERS.correlation);
  const ts = records.timestamps[index];
  const version = text(SHADOW_HEADERS.version);
  const empty = version === undefined ? undefined : emptyShadow(device.tenant, device.deviceId, Number(version), ts);
  return {
    key,
    document,
    told: document ?? empty,
    bytes: value?.length ?? 0,
    asked: text(SHADOW_HEADERS.asked) !== undefined,
    result: id === undefined || outcome === undefined ? undefined : { id, outcome: outcome as ShadowOutcome },
    rejection: code === undefined ? undefined : { ...device, code, message, id, ts, correlation },
  };
}

function parseDocument(value: Buffer): ShadowDocument | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(value.toString());
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
  if (!isJsonObject(parsed) || parsed.v !== 1 || typeof parsed.version !== "number") return undefined;
  const { desired, reported, delta } = parsed;
  if (!isJsonObject(desired) || !isJsonObject(reported) || (delta !== undefined && !isJsonObject(delta))) return undefined;
  return parsed as unknown as ShadowDocument;
}
