import type { EventLog, PartitionOffset } from "../../eventlog/port.ts";
import { partitionsOf } from "../application.ts";
import { matches, type LetterFilter } from "./filter.ts";
import { lettersOf, type Letter } from "./letter.ts";
import { readToEnd } from "../../eventlog/read-to-end.ts";

export interface Scanned {
  /** Those that match, in order within a partition. */
  readonly letters: readonly Letter[];
  /** Offsets passed so far, and in all; some may have no record. */
  readonly done: number;
  readonly total: number;
}

/** The letters that are in the topic now and match; what comes in meanwhile is not looked at. */
export async function* scanLetters(log: EventLog, topic: string, filter: LetterFilter): AsyncGenerator<Scanned> {
  const { partition, firstOffset = 0, lastOffset = Infinity } = filter;
  const all = await partitionsOf(log, [topic]);
  const wanted = partition === undefined ? all : all.filter((one) => one.partition === partition);
  const bounds = await Promise.all([
    log.admin.listOffsets(wanted, "earliest", "read_committed"),
    log.admin.listOffsets(wanted, "latest", "read_committed"),
  ]);
  const bounded = (list: readonly PartitionOffset[], bound: (offset: number) => number): PartitionOffset[] =>
    list.map((one) => ({ ...one, offset: bound(one.offset) }));
  const starts = bounded(bounds[0], (offset) => Math.max(offset, firstOffset));
  const ends = bounded(bounds[1], (offset) => Math.min(offset, lastOffset + 1));
  const total = ends.reduce((sum, { offset }, index) => sum + Math.max(0, offset - starts[index].offset), 0);
  const endOf = new Map(ends.map((end) => [end.partition, end.offset]));
  const positions = new Map(starts.map((start) => [start.partition, start.offset]));
  const startSum = starts.reduce((sum, { offset }) => sum + offset, 0);
  for await (const batches of readToEnd(log, starts, ends)) {
    const letters: Letter[] = [];
    for (const batch of batches) {
      const end = endOf.get(batch.partition) ?? 0;
      for (const letter of lettersOf(batch)) if (letter.offset < end && matches(letter, filter)) letters.push(letter);
      positions.set(batch.partition, Math.min(batch.nextOffset, end));
    }
    const done = [...positions.values()].reduce((sum, offset) => sum + offset, 0) - startSum;
    yield { letters, done, total };
  }
}
