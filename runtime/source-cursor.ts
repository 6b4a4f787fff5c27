/** The source record in hand, as processors see it: one object per task, moved from record to record. */
import { LogError } from "../eventlog/errors.ts";
import type { RecordsView } from "../eventlog/records/view.ts";
import type { RecordHeader, SourceRecord } from "../topology/processor.ts";

export class SourceCursor implements SourceRecord {
  topic = "";
  partition = -1;
  #view: RecordsView | undefined;
  #index = 0;

  moveTo(topic: string, partition: number, view: RecordsView, index: number): void {
    this.topic = topic;
    this.partition = partition;
    this.#view = view;
    this.#index = index;
  }

  get offset(): number {
    return this.#view === undefined ? -1 : this.#view.offsets[this.#index];
  }

  get timestamp(): number {
    return this.#view === undefined ? -1 : this.#view.timestamps[this.#index];
  }

  keyBytes(): Buffer | null {
    return this.#view === undefined ? null : this.#view.key(this.#index);
  }

  valueBytes(): Buffer | null {
    return this.#view === undefined ? null : this.#view.value(this.#index);
  }

  /** Copies: they go where the record goes, and an output may be held until the commit. */
  headers(): RecordHeader[] {
    if (this.#view === undefined) return [];
    return this.#view.headers(this.#index).map(({ key, value }) => ({ key, value: value && Buffer.from(value) }));
  }

  headerText(key: string): string | undefined {
    const view = this.#view;
    return view === undefined ? undefined : findHeaderText(view.bytes, view.headerStarts[this.#index], view.ends[this.#index], key);
  }
}

/** Walks the header section, up to `end`, in place: no closure, and nothing decoded but the match. Keys are compared as ASCII. */
function findHeaderText(bytes: Buffer, start: number, end: number, wanted: string): string | undefined {
  const wantedLength = wanted.length;
  position = start;
  for (let left = readVarint(bytes); left > 0; left--) {
    const keyLength = readVarint(bytes);
    const keyStart = position;
    let matches = keyLength === wantedLength;
    for (let at = 0; matches && at < keyLength; at++) matches = bytes[keyStart + at] === wanted.charCodeAt(at);
    position = keyStart + keyLength;
    const valueLength = readVarint(bytes);
    if (keyLength < 0 || position + valueLength > end) throw new LogError("corrupt-batch", "a record's headers do not fit its bytes");
    if (matches) return valueLength < 0 ? undefined : bytes.toString("utf8", position, position + valueLength);
    if (valueLength > 0) position += valueLength;
  }
  return undefined;
}

/** Of readVarint(), in the bytes of the header section in hand. */
let position = 0;

/** Zigzag varint of up to 32 bits, as record format v2 has them; moves `position`. */
function readVarint(bytes: Buffer): number {
  let byte = bytes[position++];
  let result = byte & 0x7f;
  for (let shift = 7; byte >= 0x80; shift += 7) {
    byte = bytes[position++];
    result |= (byte & 0x7f) << shift;
  }
  return (result >>> 1) ^ -(result & 1);
}
