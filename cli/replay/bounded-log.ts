/** An event log whose readers see some partitions only up to an offset: a worker on it stops there by itself, exactly. */
import type { EventLog, FetchedBatch, LogReader, PartitionOffset } from "../../eventlog/port.ts";
import { RecordsView } from "../../eventlog/records/view.ts";

/** @param ends first offset of each partition that is not read; partitions that are not named have no bound. */
export function boundedLog(inner: EventLog, ends: readonly PartitionOffset[]): EventLog {
  const endOf = new Map(ends.map(({ topic, partition, offset }) => [`${topic}/${partition}`, offset]));
  return {
    admin: inner.admin,
    reader: (options) => boundedReader(inner.reader(options), endOf),
    txnWriter: (options) => inner.txnWriter(options),
    plainWriter: (options) => inner.plainWriter(options),
    group: (options) => inner.group(options),
    partitionCount: (topic) => inner.partitionCount(topic),
    close: () => inner.close(),
  };
}

function boundedReader(inner: LogReader, endOf: ReadonlyMap<string, number>): LogReader {
  return {
    assign: (offsets) => inner.assign(offsets),
    seek: (offset) => inner.seek(offset),
    pause: (partitions) => inner.pause(partitions),
    resume: (partitions) => inner.resume(partitions),
    async poll(waitMs) {
      const batches: FetchedBatch[] = [];
      for (const batch of await inner.poll(waitMs)) {
        const end = endOf.get(`${batch.topic}/${batch.partition}`) ?? Infinity;
        // nothing more of it is wanted; an assign() makes it begin again, and come here once more
        if (batch.nextOffset >= end) inner.pause([{ topic: batch.topic, partition: batch.partition }]);
        batches.push(cut(batch, end));
      }
      return batches;
    },
    wakeup: () => inner.wakeup(),
    get trouble() {
      return inner.trouble;
    },
    close: () => inner.close(),
  };
}

function cut(batch: FetchedBatch, end: number): FetchedBatch {
  if (end === Infinity) return batch;
  const { records } = batch;
  let { count } = records;
  while (count > 0 && records.offsets[count - 1] >= end) count--;
  return {
    ...batch,
    records: count === records.count ? records : new RecordsView({ ...records, count }),
    nextOffset: Math.min(batch.nextOffset, end),
    highWatermark: Math.min(batch.highWatermark, end),
    lastStableOffset: Math.min(batch.lastStableOffset, end),
  };
}
