/** The port's Admin over the embedded log. */
import { LogError } from "../errors.ts";
import type { Admin, CommittedOffset, IsolationLevel, PartitionOffset, TopicDescription, TopicPartition, TopicSpec } from "../port.ts";
import { parseBatches } from "../records/parse-batches.ts";
import type { CommittedOffsets } from "./committed-offsets.ts";
import type { Database } from "./database.ts";
import { TABLE, offsetKey, offsetOfKey, offsetRange } from "./keys.ts";
import type { Partition } from "./partition.ts";
import type { Groups } from "./groups.ts";
import type { PartitionRows } from "./partition-rows.ts";
import { INDEX_SLICE_BYTES, dropBefore } from "./retention.ts";
import { decodeBatchIndex } from "./rows.ts";
import type { Topics } from "./topics.ts";
import type { Transactions } from "./transactions.ts";

interface AdminParts {
  readonly database: Database;
  readonly partitionRows: PartitionRows;
  readonly topics: Topics;
  readonly offsets: CommittedOffsets;
  readonly groups: Groups;
  readonly transactions: Transactions;
}

export class EmbeddedAdmin implements Admin {
  readonly #log: AdminParts;

  constructor(log: AdminParts) {
    this.#log = log;
  }

  async createTopics(specs: readonly TopicSpec[]): Promise<readonly string[]> {
    const made: string[] = [];
    for (const spec of specs) if (await this.#log.topics.create(spec)) made.push(spec.name);
    return made;
  }

  // async: the port's shape; topics are in memory
  async describeTopics(names: readonly string[]): Promise<readonly TopicDescription[]> {
    return names.flatMap((name) => this.#log.topics.describe(name) ?? []);
  }

  async deleteTopics(names: readonly string[]): Promise<void> {
    for (const name of names) {
      await this.#log.topics.delete(name);
      await this.#log.offsets.deleteTopic(name);
    }
  }

  /** Both isolations end at the last stable offset, as readers of both do. A time after the last record gives the end. */
  async listOffsets(
    partitions: readonly TopicPartition[],
    at: "earliest" | "latest" | number,
    _isolation: IsolationLevel,
  ): Promise<readonly PartitionOffset[]> {
    const sources = partitions.map((to) => this.#log.topics.partition(to));
    return Promise.all(
      sources.map(async (source): Promise<PartitionOffset> => {
        const { topic, partition } = source;
        if (at === "earliest") return { topic, partition, offset: source.start };
        if (at === "latest") return { topic, partition, offset: source.stable };
        return { topic, partition, offset: await this.#firstAt(source, at) };
      }),
    );
  }

  // async: the port's shape; offsets are in memory
  async groupOffsets(groupId: string, partitions: readonly TopicPartition[]): Promise<readonly CommittedOffset[]> {
    return this.#log.offsets.get(groupId, partitions);
  }

  async setGroupOffsets(groupId: string, offsets: readonly CommittedOffset[]): Promise<void> {
    this.#log.groups.validate({ groupId, generationId: -1, memberId: "" });
    await this.#log.offsets.commit(groupId, offsets);
  }

  async groupMembers(groupId: string): Promise<readonly string[]> {
    return this.#log.groups.group(groupId).memberIds;
  }

  async deleteGroupOffsets(groupId: string): Promise<void> {
    const members = this.#log.groups.group(groupId).memberIds;
    if (members.length > 0) throw new LogError("invalid-state", `group ${groupId} has members: ${members.join(", ")}`);
    return this.#log.offsets.deleteGroup(groupId);
  }

  async deleteRecords(before: readonly PartitionOffset[]): Promise<void> {
    for (const { topic, partition, offset } of before) {
      const from = this.#log.topics.partition({ topic, partition });
      if (offset > from.stable)
        throw new LogError("offset-out-of-range", `${topic}/${partition} ends at ${from.stable}, before ${offset}`, { partitions: [from] });
      await dropBefore(this.#log.database, this.#log.partitionRows, from, offset);
    }
  }

  // async: the port's shape; transactions are in memory
  async openTransactions(transactionalIdPrefix: string): Promise<readonly string[]> {
    return this.#log.transactions.open(transactionalIdPrefix);
  }

  fence(transactionalId: string): Promise<void> {
    return this.#log.transactions.fence(transactionalId);
  }

  async #firstAt(source: Partition, timestamp: number): Promise<number> {
    const { database } = this.#log;
    const { topicId, partition, stable } = source;
    for await (const rows of database.slices(offsetRange(TABLE.index, topicId, partition, source.start, stable), INDEX_SLICE_BYTES)) {
      for (const [key, row] of rows) {
        if (decodeBatchIndex(row).maxTimestamp < timestamp) continue;
        const bytes = await database.get(offsetKey(TABLE.batch, topicId, partition, offsetOfKey(key)));
        if (bytes === undefined) continue; // retention took it meanwhile
        for (const batch of parseBatches(bytes, 0, bytes.length, { partialTail: "error" })) {
          const view = batch.records(source.start);
          for (let i = 0; i < view.count; i++) if (view.timestamps[i] >= timestamp) return view.offsets[i];
        }
      }
    }
    return stable;
  }
}
