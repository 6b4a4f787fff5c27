/** Saves partitions' rows one write after the other, so that an older state never lands over a newer one. */
import type { Database, Operation } from "./database.ts";
import { partitionKey } from "./keys.ts";
import type { Partition } from "./partition.ts";
import { encodePartitionRow } from "./rows.ts";

export class PartitionRows {
  readonly #database: Database;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(database: Database) {
    this.#database = database;
  }

  /** Writes the partitions as they are when its turn comes, together with `operations`, atomically. */
  save(partitions: readonly Partition[], operations: readonly Operation[] = []): Promise<void> {
    const run = this.#turn.then(async () => {
      const kept = partitions.filter((partition) => !partition.deleted);
      if (kept.length < partitions.length && operations.length > 0) return; // the topic went meanwhile, rows and all
      if (kept.length + operations.length > 0) await this.#database.write([...operations, ...kept.map(row)]);
    });
    this.#turn = run.catch(() => undefined); // the caller has the error; the next turn is no part of it
    return run;
  }
}

/** `end` is what was handed out, not what is stable: offsets that a reader may have passed are never used again. */
function row(partition: Partition): Operation {
  const { topicId, partition: number, start, end, compactedTo } = partition;
  return { type: "put", key: partitionKey(topicId, number), value: encodePartitionRow({ start, end, compactedTo }) };
}
