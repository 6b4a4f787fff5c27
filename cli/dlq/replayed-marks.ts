/**
 * Which records have been put back: one mark for each, in a compacted topic of the application's own, written in the same
 * transaction as the record. A mark stands for the place of the *original*, so that several letters about one record put it back once,
 * and for a fingerprint of its content, so that a topic that was deleted and made anew under the same name does not inherit marks (its
 * letters and those of the old one may be in the dead-letter topic together).
 */
import { crc32 } from "node:zlib";
import type { EventLog } from "../../eventlog/port.ts";
import type { RecordSet } from "../../eventlog/records/record-set.ts";
import { CommandFailure } from "../failure.ts";
import type { LogPlace } from "./letter.ts";
import { readToEnd } from "../../eventlog/read-to-end.ts";

/** Places of one row: its index fits two bytes, and a full row (6 KiB) is rewritten at no great cost. */
const PLACES_PER_ROW = 1024;
/** Index (2 bytes) and fingerprint (4 bytes). A place has an entry for each content that was put back from it. */
const ENTRY_BYTES = 6;
const VERSION = 1;

export const MARKS_TOPIC_CONFIG: Readonly<Record<string, string>> = { "cleanup.policy": "compact" };

export class ReplayedMarks {
  readonly #topic: string;
  /** `topic/partition/row` to its entries, in order. */
  readonly #rows = new Map<string, Buffer>();
  readonly #changed = new Set<string>();

  /** Everything that is in the topic at its uncommitted end: a transaction whose markers are being written counts (KAFKA-10167). */
  static async load(log: EventLog, topic: string): Promise<ReplayedMarks> {
    const marks = new ReplayedMarks(topic);
    const at = [{ topic, partition: 0 }];
    const starts = await log.admin.listOffsets(at, "earliest", "read_committed");
    const ends = await log.admin.listOffsets(at, "latest", "read_uncommitted");
    for await (const batches of readToEnd(log, starts, ends)) {
      for (const { records } of batches) {
        for (let index = 0; index < records.count; index++) marks.#read(records.key(index), records.value(index));
      }
    }
    return marks;
  }

  /** Of an application that has replayed nothing yet. */
  constructor(topic: string) {
    this.#topic = topic;
  }

  has(place: LogPlace, fingerprint: number): boolean {
    const row = this.#rows.get(rowKey(place));
    return row !== undefined && find(row, entryOf(place, fingerprint)).found;
  }

  add(place: LogPlace, fingerprint: number): void {
    const key = rowKey(place);
    const row = this.#rows.get(key) ?? Buffer.alloc(0);
    const entry = entryOf(place, fingerprint);
    const { at, found } = find(row, entry);
    if (found) return;
    this.#rows.set(key, Buffer.concat([row.subarray(0, at), entry, row.subarray(at)]));
    this.#changed.add(key);
  }

  /** The rows changed since the last time, as records of one transaction. */
  write(set: RecordSet, now: number): void {
    for (const text of this.#changed) {
      const key = Buffer.from(text);
      const value = Buffer.concat([Buffer.of(VERSION), this.#rows.get(text) ?? Buffer.alloc(0)]);
      set.partition(this.#topic, 0).append(now, key, 0, key.length, value, 0, value.length);
    }
    this.#changed.clear();
  }

  #read(key: Buffer | null, value: Buffer | null): void {
    if (key === null) return;
    // a row of another version is not understood, so its letters would be put back twice
    if (value !== null && value[0] !== VERSION)
      throw new CommandFailure("newer-marks", `${this.#topic}: a row of version ${value[0]}: a newer sluice wrote it, use that one`);
    if (value === null) this.#rows.delete(key.toString());
    else this.#rows.set(key.toString(), Buffer.from(value.subarray(1)));
  }
}

/** Of a record's content: key, value and time. */
export function fingerprintOf(key: Buffer | null, value: Buffer | null, timestamp: number): number {
  return crc32(value ?? "", crc32(`${timestamp}|${key?.length ?? -1}|${key?.toString("latin1") ?? ""}`));
}

function rowKey({ topic, partition, offset }: LogPlace): string {
  return `${topic}/${partition}/${Math.floor(offset / PLACES_PER_ROW)}`;
}

function entryOf({ offset }: LogPlace, fingerprint: number): Buffer {
  const entry = Buffer.allocUnsafe(ENTRY_BYTES);
  entry.writeUInt16BE(offset % PLACES_PER_ROW, 0);
  entry.writeUInt32BE(fingerprint, 2);
  return entry;
}

/** Where the entry stands, or would. */
function find(row: Buffer, entry: Buffer): { at: number; found: boolean } {
  const compare = (at: number): number => row.compare(entry, 0, ENTRY_BYTES, at * ENTRY_BYTES, (at + 1) * ENTRY_BYTES);
  const count = row.length / ENTRY_BYTES;
  let [low, high] = [0, count];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compare(middle) < 0) low = middle + 1;
    else high = middle;
  }
  return { at: low * ENTRY_BYTES, found: low < count && compare(low) === 0 };
}
