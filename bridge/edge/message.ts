/** A message as the store keeps it: the raw record of the design (section 8) already, so that forwarding to Kafka copies bytes. */
import type { FetchedBatch, RecordHeader } from "../../eventlog/port.ts";
import { RAW_HEADERS, deviceKey } from "../../processors/formats/names.ts";
import { addCorrelation, RawHeaders } from "../raw-headers.ts";
import { RecentMap } from "../recent-map.ts";
import { TopicTemplates, type TemplateSetting } from "../topic-templates.ts";
import { GAP_HEADER } from "./gap.ts";

/** What a device sent. */
export interface DeviceMessage {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: 0 | 1 | 2;
  readonly dup: boolean;
  readonly retain: boolean;
  readonly contentType: string | undefined;
  readonly correlation: Buffer | undefined;
}

/** Read back. Buffers are slices of what was fetched. */
export interface StoredMessage {
  readonly offset: number;
  /** When the gateway received it, epoch ms. */
  readonly receivedTs: number;
  readonly key: Buffer | null;
  readonly value: Buffer;
  readonly headers: RecordHeader[];
  /** The MQTT topic; empty for a gap's marker. */
  readonly topic: string;
  readonly isGap: boolean;
}

/** Topics remembered with their key: about 300 bytes each. */
const MAX_TOPICS = 20_000;

interface Origin {
  readonly key: Buffer | null;
  readonly device: string | undefined;
  readonly header: RecordHeader;
}

/** Makes records of messages. */
export class MessageRecords {
  readonly #templates: TopicTemplates;
  readonly #headers: RawHeaders;
  readonly #origins = new RecentMap<Origin>(MAX_TOPICS);

  /** @param templates what devices' topics look like; a message on another topic is stored too, without a key */
  constructor(gatewayId: string, templates: readonly TemplateSetting[]) {
    this.#templates = new TopicTemplates(templates);
    this.#headers = new RawHeaders(gatewayId);
  }

  originOf(topic: string): Origin {
    const known = this.#origins.get(topic);
    if (known !== undefined) return known;
    const parsed = this.#templates.parse(topic);
    const device = parsed === undefined ? undefined : deviceKey(parsed.tenant, parsed.deviceId);
    const origin: Origin = {
      key: device === undefined ? null : Buffer.from(device),
      device,
      header: { key: RAW_HEADERS.topic, value: Buffer.from(topic) },
    };
    if (device !== undefined) this.#origins.set(topic, origin);
    return origin;
  }

  headersOf({ qos, dup, retain, contentType, correlation }: DeviceMessage, { header }: Origin, nowMs: number): RecordHeader[] {
    const headers = this.#headers.of(header, qos, dup, retain, contentType, nowMs);
    addCorrelation(headers, correlation);
    return headers;
  }
}

export function storedMessages({ records }: FetchedBatch): StoredMessage[] {
  return Array.from({ length: records.count }, (_, index): StoredMessage => {
    const headers = records.headers(index);
    return {
      offset: records.offsets[index],
      receivedTs: records.timestamps[index],
      key: records.key(index),
      value: records.value(index) ?? Buffer.alloc(0),
      headers,
      topic: headerText(headers, RAW_HEADERS.topic) ?? "",
      isGap: headers.some(({ key }) => key === GAP_HEADER),
    };
  });
}

export function headerText(headers: readonly RecordHeader[], name: string): string | undefined {
  const value = headers.find(({ key }) => key === name)?.value;
  return value === undefined || value === null ? undefined : Buffer.from(value.buffer, value.byteOffset, value.length).toString();
}
