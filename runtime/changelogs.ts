/** What restoring a task and keeping a copy of one have in common. */
import { setImmediate as yieldToEventLoop, setTimeout as delay } from "node:timers/promises";
import { LogError } from "../eventlog/errors.ts";
import type { Admin, PartitionOffset, TopicPartition } from "../eventlog/port.ts";
import type { RecordsView } from "../eventlog/records/view.ts";
import type { StoreSpec } from "../state/store.ts";
import type { TaskState } from "../state/task-state.ts";
import { RuntimeError } from "./errors.ts";

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

/** One store's changelog partition, and what of it the local state lacks. */
export interface ChangelogSpan extends TopicPartition {
  readonly store: string;
  /** Next offset to apply. */
  readonly position: number;
  /** The end, uncommitted records included: a transaction that is still being completed is waited for (KAFKA-10167). */
  readonly end: number;
}

/** Of the stores that have one. @throws RuntimeError `state-mismatch` for state that is ahead of its changelog. */
export async function changelogSpans(
  admin: Admin,
  changelogOf: (store: string) => string,
  stores: readonly StoreSpec<unknown>[],
  partition: number,
  state: TaskState,
): Promise<ChangelogSpan[]> {
  const changelogs = stores.filter(({ changelog }) => changelog).map(({ name }) => ({ store: name, topic: changelogOf(name), partition }));
  if (changelogs.length === 0) return [];
  const earliest = await listOffsets(admin, changelogs, "earliest");
  const latest = await listOffsets(admin, changelogs, "latest");
  return changelogs.map(({ store, topic }) => {
    const offsetIn = (list: readonly PartitionOffset[]): number => list.find((entry) => entry.topic === topic)?.offset ?? 0;
    const checkpoint = state.checkpointPosition(store) ?? 0;
    const end = offsetIn(latest);
    if (checkpoint > end)
      throw new RuntimeError(
        "state-mismatch",
        `${topic}/${partition} ends before the local checkpoint ${checkpoint}: the changelog was made anew`,
      );
    return { store, topic, partition, position: Math.max(checkpoint, offsetIn(earliest)), end };
  });
}

/** Changelogs may have been made a moment ago, and the broker that is asked not have heard of them. */
async function listOffsets(
  admin: Admin,
  partitions: readonly TopicPartition[],
  at: "earliest" | "latest",
): Promise<readonly PartitionOffset[]> {
  const deadline = performance.now() + NEW_TOPIC_WAIT_MS;
  for (;;) {
    try {
      return await admin.listOffsets(partitions, at, "read_uncommitted");
    } catch (error) {
      if (!(error instanceof LogError) || error.code !== "unknown-topic" || performance.now() >= deadline) throw error;
      await delay(NEW_TOPIC_RETRY_MS);
    }
  }
}
