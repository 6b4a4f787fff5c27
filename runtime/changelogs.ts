/** What restoring a task and keeping a copy of one have in common. */
import { setImmediate as yieldToEventLoop, setTimeout as delay } from "node:timers/promises";
import { LogError } from "../eventlog/errors.ts";
import type { Admin, IsolationLevel, PartitionOffset, TopicPartition } from "../eventlog/port.ts";
import type { RecordsView } from "../eventlog/records/view.ts";
import type { TaskState } from "../state/task-state.ts";

/** Records applied between two turns of the event loop: a few milliseconds. */
const RECORDS_PER_SLICE = 5_000;
/** A cluster tells its brokers of a new topic within moments; longer, and it is not there. */
const NEW_TOPIC_WAIT_MS = 10_000;
const NEW_TOPIC_RETRY_MS = 50;

/**
 * Puts a batch of a store's changelog into its rows, slice by slice, and returns their bytes. Undefined when `isWanted` said no in
 * between: the rest is missing, and may be applied again from the batch's start.
 */
export async function replay(state: TaskState, store: string, records: RecordsView, isWanted: () => boolean): Promise<number | undefined> {
  let bytes = 0;
  for (let i = 0; i < records.count; i++) {
    state.restore(store, records.bytes, records.keyStarts[i], records.keyEnds[i], records.valueStarts[i], records.valueEnds[i]);
    bytes += records.keyEnds[i] - records.keyStarts[i];
    if (records.valueStarts[i] >= 0) bytes += records.valueEnds[i] - records.valueStarts[i];
    if (i % RECORDS_PER_SLICE !== RECORDS_PER_SLICE - 1) continue;
    await yieldToEventLoop();
    if (!isWanted()) return undefined;
  }
  return bytes;
}

/** Changelogs may have been made a moment ago, and the broker that is asked not have heard of them. */
export async function changelogOffsets(
  admin: Admin,
  partitions: readonly TopicPartition[],
  at: "earliest" | "latest",
  isolation: IsolationLevel,
): Promise<readonly PartitionOffset[]> {
  const deadline = performance.now() + NEW_TOPIC_WAIT_MS;
  for (;;) {
    try {
      return await admin.listOffsets(partitions, at, isolation);
    } catch (error) {
      if (!(error instanceof LogError) || error.code !== "unknown-topic" || performance.now() >= deadline) throw error;
      await delay(NEW_TOPIC_RETRY_MS);
    }
  }
}
