/** Bounded reading: what is committed in some partitions up to given ends. */
import { LogError } from "./errors.ts";
import type { EventLog, FetchedBatch, PartitionOffset } from "./port.ts";

/** Longest wait of one poll, ms: how soon a stop is noticed. */
const POLL_MS = 500;
/** Without a single batch for so long the log is given up, ms: longer than a broker takes to restart. */
const STALLED_MS = 60_000;

export interface ReadToEndOptions {
  /** Default STALLED_MS. */
  readonly stalledMs?: number;
  /** Default: the reader's own. */
  readonly maxBufferedBytes?: number;
}

/**
 * Batches from `starts` up to `ends` (by position in the list), in each partition in order; records at or beyond an end are left to the
 * caller to skip. Closes its reader however it ends.
 * @throws LogError `timed-out` when nothing comes; else as the reader does
 */
export async function* readToEnd(
  log: EventLog,
  starts: readonly PartitionOffset[],
  ends: readonly PartitionOffset[],
  { stalledMs = STALLED_MS, maxBufferedBytes }: ReadToEndOptions = {},
): AsyncGenerator<readonly FetchedBatch[]> {
  const left = new Map<string, number>();
  for (const [index, start] of starts.entries()) {
    if (ends[index].offset > start.offset) left.set(`${start.topic}/${start.partition}`, ends[index].offset);
  }
  if (left.size === 0) return;
  const reader = log.reader({ isolation: "read_committed", maxBufferedBytes });
  try {
    reader.assign(starts.filter(({ topic, partition }) => left.has(`${topic}/${partition}`)));
    for (let lastNews = performance.now(); left.size > 0;) {
      const batches = await reader.poll(POLL_MS);
      if (batches.length > 0) lastNews = performance.now();
      else if (performance.now() - lastNews > stalledMs)
        throw new LogError("timed-out", `nothing came from ${[...left.keys()].join(", ")} for ${stalledMs / 1000} s`);
      for (const { topic, partition, nextOffset } of batches) {
        const name = `${topic}/${partition}`;
        if (nextOffset < (left.get(name) ?? Infinity)) continue;
        left.delete(name);
        reader.pause([{ topic, partition }]);
      }
      yield batches;
    }
  } finally {
    await reader.close();
  }
}
