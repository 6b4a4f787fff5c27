/** Records of `iot.shadows`, read back. */
import type { RecordsView } from "../../eventlog/records/view.ts";
import { isJsonObject } from "../../processors/formats/merge-patch.ts";
import { parseDeviceKey } from "../../processors/formats/names.ts";
import { SHADOW_HEADERS, type ShadowDocument, type ShadowOutcome } from "../../processors/formats/shadow.ts";

export interface ShadowRecord {
  readonly key: string;
  /** Undefined: there is none (any more). */
  readonly document: ShadowDocument | undefined;
  readonly bytes: number;
  readonly asked: boolean;
  /** Of whom it is the answer. */
  readonly result: { readonly id: string; readonly outcome: ShadowOutcome } | undefined;
}

/** Undefined for what is none of ours: somebody else wrote into the topic. */
export function readShadowRecord(records: RecordsView, index: number): ShadowRecord | undefined {
  const [key, value] = [records.key(index)?.toString(), records.value(index)];
  const device = key === undefined ? undefined : parseDeviceKey(key);
  if (key === undefined || device === undefined) return undefined;
  const document = value === null ? undefined : parseDocument(value);
  if (value !== null && (document?.tenant !== device.tenant || document.deviceId !== device.deviceId)) return undefined;
  const headers = records.headers(index);
  const text = (name: string): string | undefined => headers.find((header) => header.key === name)?.value?.toString();
  const [id, outcome] = [text(SHADOW_HEADERS.request), text(SHADOW_HEADERS.outcome)];
  return {
    key,
    document,
    bytes: value?.length ?? 0,
    asked: text(SHADOW_HEADERS.asked) !== undefined,
    result: id === undefined || outcome === undefined ? undefined : { id, outcome: outcome as ShadowOutcome },
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
