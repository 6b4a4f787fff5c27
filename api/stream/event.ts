/** An output record as it goes to stream clients. The text is made once, however many clients get it. */
import { parseDeviceKey } from "../../processors/formats/names.ts";
import type { FeedRecord } from "../../runtime/queries.ts";

export const STREAM_TYPES = ["normalized", "aggregate", "alert"] as const;
export type StreamType = (typeof STREAM_TYPES)[number];

export interface StreamEvent {
  readonly type: StreamType;
  readonly tenant: string;
  readonly deviceId: string;
  /** The whole server-sent event, blank line included. */
  readonly frame: string;
}

/** Undefined for a record that is no JSON object or has another kind of key. */
export function toStreamEvent(
  type: StreamType,
  record: FeedRecord,
  recordText: (record: FeedRecord) => string | undefined,
): StreamEvent | undefined {
  const key = record.key === null ? undefined : parseDeviceKey(record.key.toString("utf8"));
  const text = key === undefined ? undefined : recordText(record);
  if (key === undefined || text === undefined) return undefined;
  const id = `${record.topic}/${record.partition}/${record.offset}`;
  // A line break ends a data line; in JSON it can only be white space between tokens.
  const data = /[\r\n]/.test(text) ? text.replace(/[\r\n]+/g, " ") : text;
  return { type, tenant: key.tenant, deviceId: key.deviceId, frame: `id: ${id}\nevent: ${type}\ndata: ${data}\n\n` };
}

const OPENING_BRACE = 0x7b;

/** The default: outputs are JSON objects. */
export function jsonText(record: FeedRecord): string | undefined {
  return record.value !== null && record.value[0] === OPENING_BRACE ? record.value.toString("utf8") : undefined;
}
