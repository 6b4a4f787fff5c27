/** A dead letter as read back: what eventlog/dead-letter.ts wrote, taken apart. */
import { DLQ_HEADERS } from "../../eventlog/dead-letter.ts";
import type { FetchedBatch, RecordHeader, TopicPartition } from "../../eventlog/port.ts";
import { parseDeviceKey } from "../../processors/formats/names.ts";

/** Buffers are slices of the fetched bytes: copy what is kept. */
export interface Letter extends TopicPartition {
  readonly offset: number;
  /** The record's own, epoch ms: when the original was received. */
  readonly timestamp: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  /** Those of the original record. */
  readonly headers: readonly RecordHeader[];
  /** Empty texts for a record in the topic that is no dead letter. */
  readonly reason: string;
  readonly message: string;
  readonly stage: string;
  readonly source: string;
  /** When it was set aside, epoch ms. */
  readonly ts: number;
  /** Length of the whole value in bytes, when only its beginning was kept. */
  readonly cutFrom: number | undefined;
  readonly tenant: string | undefined;
  readonly deviceId: string | undefined;
}

const OWN_NAMES: ReadonlySet<string> = new Set(Object.values(DLQ_HEADERS));

export function lettersOf({ topic, partition, records }: FetchedBatch): Letter[] {
  return Array.from({ length: records.count }, (_, index): Letter => {
    const headers = records.headers(index);
    // ours come first, so that one of the same name in the original cannot stand in for it
    const text = (name: string): string => headers.find(({ key }) => key === name)?.value?.toString() ?? "";
    const [key, value] = [records.key(index), records.value(index)];
    const length = Number(text(DLQ_HEADERS.length));
    const device = key === null ? undefined : parseDeviceKey(key.toString());
    return {
      topic,
      partition,
      offset: records.offsets[index],
      timestamp: records.timestamps[index],
      key,
      value,
      headers: headers.filter((header) => !OWN_NAMES.has(header.key)),
      reason: text(DLQ_HEADERS.reason),
      message: text(DLQ_HEADERS.message),
      stage: text(DLQ_HEADERS.stage),
      source: text(DLQ_HEADERS.source),
      ts: Number(text(DLQ_HEADERS.ts)),
      cutFrom: length > (value?.length ?? 0) ? length : undefined,
      tenant: device?.tenant,
      deviceId: device?.deviceId,
    };
  });
}

/** A place in the log as `dlq.source` names it: `topic/partition/offset`. Kafka's topic names hold no slash, MQTT's do. */
export interface LogPlace extends TopicPartition {
  readonly offset: number;
}

/** Where the original stood in the log; undefined when it never did: the ingress sets aside what it would not let in. */
export function sourceOf({ stage, source }: Letter): LogPlace | undefined {
  const match = stage === "ingress" ? null : /^([a-zA-Z0-9._-]+)\/(\d+)\/(\d+)$/.exec(source);
  return match === null ? undefined : { topic: match[1], partition: Number(match[2]), offset: Number(match[3]) };
}

/** One line for people. The message may quote the payload. */
export function letterLine({ partition, offset, ts, reason, stage, key, value, cutFrom, message }: Letter): string {
  const bytes = cutFrom === undefined ? `${value?.length ?? 0} bytes` : `${value?.length ?? 0} of ${cutFrom} bytes`;
  return `${partition}/${offset} ${timeText(ts)} ${reason} (${stage}) ${key?.toString() ?? "no key"}, ${bytes}: ${oneLine(message)}`;
}

/** With --json: everything but the value. */
export function letterData(letter: Letter): Record<string, unknown> {
  const { partition, offset, timestamp, reason, message, stage, source, ts, key, value, cutFrom, tenant, deviceId } = letter;
  return {
    partition,
    offset,
    timestamp,
    reason,
    message,
    stage,
    source,
    ts,
    key: key?.toString() ?? null,
    tenant,
    deviceId,
    valueBytes: value?.length ?? 0,
    cutFrom,
  };
}

function timeText(ms: number): string {
  const time = new Date(ms);
  return Number.isNaN(time.getTime()) ? "?" : time.toISOString();
}

/** Text from a device must not move the cursor of the terminal it is shown on. */
export function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, " ");
}
