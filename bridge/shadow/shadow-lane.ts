/** One partition of `iot.shadows` that this service tells devices of. */
import type { FetchedBatch } from "../../eventlog/port.ts";
import type { DeltaBook } from "./delta-book.ts";
import type { RejectionQueue } from "./rejection-queue.ts";
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

  /** @param rejections told whatever else is still to be read: each is news of its own */
  take({ records, nextOffset }: FetchedBatch, rejections: RejectionQueue, now: number): void {
    for (let i = 0; i < records.count; i++) {
      const record = readShadowRecord(records, i);
      if (record === undefined) continue;
      if (record.rejection !== undefined) rejections.add(record.rejection, now);
      this.book.take(record.key, record.told, record.asked && records.timestamps[i] > now - ASKED_AGE_MS, record.bytes);
    }
    this.position = nextOffset;
  }
}
