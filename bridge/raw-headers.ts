/** Headers of a raw record. Source: shared design, section 8. All but the topic's are made once, or once per millisecond. */
import type { RecordHeader } from "../eventlog/port.ts";
import { RAW_HEADERS } from "../processors/formats/names.ts";
import type { InFlight } from "./in-flight.ts";
import type { Route } from "./route-cache.ts";

/** Of a message that does not say (MQTT 3.1.1 cannot): the design's default payload is JSON. */
const DEFAULT_CONTENT_TYPE = "application/json";
/** Distinct content types remembered: a device could make them up, so past this they are encoded anew each time. */
const MAX_CONTENT_TYPES = 64;
/** MQTT 5 correlation data that is kept: a command's id has at most 128 bytes. */
export const MAX_CORRELATION_BYTES = 128;

export class RawHeaders {
  readonly #id: RecordHeader;
  readonly #qos = ["0", "1", "2"].map((value) => header(RAW_HEADERS.qos, value));
  readonly #dup = ["0", "1"].map((value) => header(RAW_HEADERS.dup, value));
  readonly #retain = ["0", "1"].map((value) => header(RAW_HEADERS.retain, value));
  readonly #defaultType = header(RAW_HEADERS.contentType, DEFAULT_CONTENT_TYPE);
  readonly #types = new Map<string, RecordHeader>();
  #ts: RecordHeader = header(RAW_HEADERS.ingressTs, "0");
  #tsMs = 0;

  constructor(ingressId: string) {
    this.#id = header(RAW_HEADERS.ingressId, ingressId);
  }

  /** A new array of shared headers. */
  of(topic: RecordHeader, qos: number, dup: boolean, retain: boolean, contentType: string | undefined, nowMs: number): RecordHeader[] {
    if (nowMs !== this.#tsMs) {
      this.#tsMs = nowMs;
      this.#ts = header(RAW_HEADERS.ingressTs, String(nowMs));
    }
    const type = contentType === undefined ? this.#defaultType : this.#type(contentType);
    return [topic, this.#qos[qos], this.#dup[dup ? 1 : 0], this.#retain[retain ? 1 : 0], type, this.#ts, this.#id];
  }

  /** The same, and what only some messages have. */
  ofMessage(message: InFlight, { topicHeader, originalTopicHeader }: Route): RecordHeader[] {
    const { qos, dup, retain, contentType, receivedTs, correlation, messageExpiryS, userProperties } = message;
    const headers = this.of(topicHeader, qos, dup, retain, contentType, receivedTs);
    if (originalTopicHeader !== undefined) headers.push(originalTopicHeader);
    addCorrelation(headers, correlation);
    if (messageExpiryS !== undefined) headers.push(header(RAW_HEADERS.expiry, String(messageExpiryS)));
    for (const { name, value } of userProperties) headers.push(header(`${RAW_HEADERS.userPrefix}${name}`, value));
    return headers;
  }

  #type(contentType: string): RecordHeader {
    const known = this.#types.get(contentType);
    if (known !== undefined) return known;
    const made = header(RAW_HEADERS.contentType, contentType);
    if (this.#types.size < MAX_CONTENT_TYPES) this.#types.set(contentType, made);
    return made;
  }
}

/** Unless it is longer than anything that is looked for. */
export function addCorrelation(headers: RecordHeader[], correlation: Buffer | undefined): void {
  if (correlation !== undefined && correlation.length <= MAX_CORRELATION_BYTES)
    headers.push({ key: RAW_HEADERS.correlation, value: correlation });
}

function header(key: string, value: string): RecordHeader {
  return { key, value: Buffer.from(value) };
}
