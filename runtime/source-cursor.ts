/** The source record in hand, as processors see it: one object per task, moved from record to record. */
import { decodeHeaders, type RecordsView } from "../eventlog/records/view.ts";
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

  headers(): RecordHeader[] {
    return this.#view === undefined ? [] : decodeHeaders(this.#view.bytes, this.#view.headerStarts[this.#index]);
  }

  headerText(key: string): string | undefined {
    const view = this.#view;
    return view === undefined ? undefined : findHeaderText(view.bytes, view.headerStarts[this.#index], key);
  }
}

/** Walks the header section without decoding what does not match. Keys are compared as ASCII. */
function findHeaderText(bytes: Buffer, start: number, wanted: string): string | undefined {
  let position = start;
  const varint = (): number => {
    let result = 0;
    let shift = 0;
    for (;;) {
      const byte = bytes[position++];
      result |= (byte & 0x7f) << shift;
      if (byte < 0x80) return (result >>> 1) ^ -(result & 1);
      shift += 7;
    }
  };
  const count = varint();
  for (let i = 0; i < count; i++) {
    const keyLength = varint();
    let matches = keyLength === wanted.length;
    for (let at = 0; matches && at < keyLength; at++) matches = bytes[position + at] === wanted.charCodeAt(at);
    position += keyLength;
    const valueLength = varint();
    if (matches) return valueLength < 0 ? undefined : bytes.toString("utf8", position, position + valueLength);
    if (valueLength > 0) position += valueLength;
  }
  return undefined;
}
