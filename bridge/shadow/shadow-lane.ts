/** One partition of `iot.shadows` that this service tells devices of. */
import type { FetchedBatch } from "../../eventlog/port.ts";
import type { DeltaBook } from "./delta-book.ts";
import { readShadowRecord } from "./shadow-record.ts";

/** A device that asked while nobody could answer still waits for so long; later it has asked again. ms. */
const ASKED_AGE_MS = 30_000;

export class ShadowLane {
  readonly partition: number;
  readonly book: DeltaBook;
  /** Next offset to read. */
  position: number;
  /** Nothing is sent before it is read up to here: what is newest is not known yet. */
  readTo: number;

  constructor(partition: number, book: DeltaBook, position: number, readTo: number) {
    this.partition = partition;
    this.book = book;
    this.position = position;
    this.readTo = readTo;
  }

  get isCurrent(): boolean {
    return this.position >= this.readTo;
  }

  take({ records, nextOffset }: FetchedBatch, now: number): void {
    for (let i = 0; i < records.count; i++) {
      const record = readShadowRecord(records, i);
      if (record === undefined) continue;
      this.book.take(record.key, record.document, record.asked && records.timestamps[i] > now - ASKED_AGE_MS, record.bytes);
    }
    this.position = nextOffset;
  }
}
