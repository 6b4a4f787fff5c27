/** A shed record: key, value and headers as in the raw topic, and why it is not there. Copied back as it is, it is telemetry again. */
import type { RecordHeader } from "../../eventlog/port.ts";
import type { AdmissionReason } from "./settings.ts";

export const SHED_REASON_HEADER = "shed.reason";

const REASONS = new Map<AdmissionReason, RecordHeader>();

export function shedHeaders(reason: AdmissionReason, original: readonly RecordHeader[]): RecordHeader[] {
  let header = REASONS.get(reason);
  if (header === undefined) REASONS.set(reason, (header = { key: SHED_REASON_HEADER, value: Buffer.from(reason) }));
  return [header, ...original];
}
