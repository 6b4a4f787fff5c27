/** Which topics exist, and their partitions. */
import { LogError } from "../errors.ts";
import { readInt64 } from "../records/batch-format.ts";
import type { TopicDescription, TopicPartition, TopicSpec } from "../port.ts";
import type { Database } from "./database.ts";
import { TABLE, droppedKey, offsetRange, partitionKey, tableRange, topicKey } from "./keys.ts";
import { Partition } from "./partition.ts";
import { decodePartitionRow } from "./rows.ts";
import { parseTopicConfig } from "./topic-config.ts";

interface Topic {
  readonly id: number;
  readonly name: string;
  readonly config: Readonly<Record<string, string>>;
  readonly partitions: readonly Partition[];
}

interface TopicRow {
  readonly id: number;
  readonly partitions: number;
  readonly config: Readonly<Record<string, string>>;
}

/** Source: Topic.java of Kafka's clients. */
const LEGAL_NAME = /^[a-zA-Z0-9._-]{1,249}$/;
/** Each partition costs memory and a look-up at start. */
const MAX_PARTITIONS = 10_000;
/** Base offsets are below this, so it ends every range. */
const OFFSET_LIMIT = Number.MAX_SAFE_INTEGER;
/** Topic rows are small; one slice holds many. */
const SLICE_BYTES = 256 * 1024;

export class Topics {
  readonly #database: Database;
  readonly #topics = new Map<string, Topic>();
  #nextId = 1;

  private constructor(database: Database) {
    this.#database = database;
  }

  static async load(database: Database): Promise<Topics> {
    const topics = new Topics(database);
    for await (const rows of database.slices(tableRange(TABLE.dropped), SLICE_BYTES)) {
      for (const [key] of rows) {
        await topics.#clear(key.readUInt32BE(1));
        await database.write([{ type: "del", key }]);
      }
    }
    for await (const rows of database.slices(tableRange(TABLE.topic), SLICE_BYTES)) {
      for (const [key, value] of rows) {
        const row = JSON.parse(value.toString()) as TopicRow;
        await topics.#add(key.toString("utf8", 1), row);
      }
    }
    return topics;
  }

  /** Undefined when the topic or the partition does not exist. */
  find(topic: string, partition: number): Partition | undefined {
    return this.#topics.get(topic)?.partitions[partition];
  }

  /** Throws `unknown-topic`. */
  partition(to: TopicPartition): Partition {
    const partition = this.find(to.topic, to.partition);
    if (partition === undefined) throw unknownTopic(to);
    return partition;
  }

  /** Throws `unknown-topic`. */
  partitionCount(name: string): number {
    const topic = this.#topics.get(name);
    if (topic === undefined) throw new LogError("unknown-topic", `topic ${name} does not exist`);
    return topic.partitions.length;
  }

  describe(name: string): TopicDescription | undefined {
    const topic = this.#topics.get(name);
    return topic && { name, partitions: topic.partitions.length, config: topic.config };
  }

  *allPartitions(): Generator<Partition, void> {
    for (const topic of this.#topics.values()) yield* topic.partitions;
  }

  /** False when it exists already. Throws `invalid-state` for a wrong name, partition count or setting. */
  async create(spec: TopicSpec): Promise<boolean> {
    if (!LEGAL_NAME.test(spec.name) || spec.name === "." || spec.name === "..")
      throw new LogError("invalid-state", `"${spec.name}" is no legal topic name`);
    if (!Number.isInteger(spec.partitions) || spec.partitions < 1 || spec.partitions > MAX_PARTITIONS) {
      throw new LogError("invalid-state", `topic ${spec.name}: partitions must be 1 to ${MAX_PARTITIONS}, not ${spec.partitions}`);
    }
    parseTopicConfig(spec.name, spec.config);
    if (this.#topics.has(spec.name)) return false;
    const row: TopicRow = { id: this.#nextId++, partitions: spec.partitions, config: { ...spec.config } };
    this.#topics.set(
      spec.name,
      makeTopic(spec.name, row, () => ({ start: 0, end: 0, compactedTo: 0 })),
    );
    try {
      await this.#database.write([{ type: "put", key: topicKey(spec.name), value: Buffer.from(JSON.stringify(row)) }]);
    } catch (error) {
      this.#topics.delete(spec.name);
      throw error;
    }
    return true;
  }

  /** Throws `unknown-topic`. What a crash or a write under way leaves behind is cleared at the next start, before the id is used again. */
  async delete(name: string): Promise<void> {
    const topic = this.#topics.get(name);
    if (topic === undefined) throw new LogError("unknown-topic", `topic ${name} does not exist`);
    this.#topics.delete(name);
    for (const partition of topic.partitions) {
      partition.deleted = true;
      partition.notify();
    }
    await this.#database.write([
      { type: "del", key: topicKey(name) },
      { type: "put", key: droppedKey(topic.id), value: Buffer.alloc(0) },
    ]);
    await this.#clear(topic.id);
  }

  async #clear(topicId: number): Promise<void> {
    for (const table of [TABLE.batch, TABLE.index, TABLE.partition]) await this.#database.clear(tableRange(table, topicId));
  }

  async #add(name: string, row: TopicRow): Promise<void> {
    const kept: { start: number; end: number; compactedTo: number }[] = [];
    for (let partition = 0; partition < row.partitions; partition++) {
      const stored = await this.#database.get(partitionKey(row.id, partition));
      const last = await this.#database.last(offsetRange(TABLE.index, row.id, partition, 0, OFFSET_LIMIT));
      const { start, end, compactedTo } = stored === undefined ? { start: 0, end: 0, compactedTo: 0 } : decodePartitionRow(stored);
      kept.push({ start, end: Math.max(end, last === undefined ? 0 : readInt64(last[1], 0)), compactedTo });
    }
    this.#topics.set(
      name,
      makeTopic(name, row, (partition) => kept[partition]),
    );
    this.#nextId = Math.max(this.#nextId, row.id + 1);
  }
}

function makeTopic(name: string, row: TopicRow, kept: (partition: number) => { start: number; end: number; compactedTo: number }): Topic {
  const config = parseTopicConfig(name, row.config);
  const partitions = Array.from({ length: row.partitions }, (_, i) => new Partition({ name, id: row.id, config }, i, kept(i)));
  return { id: row.id, name, config: row.config, partitions };
}

export function unknownTopic(to: TopicPartition): LogError {
  return new LogError("unknown-topic", `topic ${to.topic} has no partition ${to.partition}, or does not exist`, { partitions: [to] });
}
