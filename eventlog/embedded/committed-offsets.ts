/** Committed offsets of all groups: in memory to read, in the database to last. */
import { LogError } from "../errors.ts";
import type { CommittedOffset, TopicPartition } from "../port.ts";
import { readInt64, writeInt64 } from "../records/batch-format.ts";
import type { Database, Operation } from "./database.ts";
import { TABLE, committedKey, parseCommittedKey, tableRange } from "./keys.ts";

/** Offsets on their way within a transaction. `apply` after the operations are written; `release` always, at the end. */
export interface HeldOffsets {
  readonly operations: readonly Operation[];
  apply(): void;
  release(): void;
}

/** Kafka's offset.metadata.max.bytes. */
const MAX_METADATA_BYTES = 4096;
const SLICE_BYTES = 256 * 1024;

export class CommittedOffsets {
  readonly #database: Database;
  readonly #groups = new Map<string, Map<string, CommittedOffset>>();
  /** How many open transactions hold offsets of a partition of a group. */
  readonly #held = new Map<string, number>();

  private constructor(database: Database) {
    this.#database = database;
  }

  static async load(database: Database): Promise<CommittedOffsets> {
    const offsets = new CommittedOffsets(database);
    for await (const rows of database.slices(tableRange(TABLE.offset), SLICE_BYTES)) {
      for (const [key, value] of rows) {
        const { groupId, topic, partition } = parseCommittedKey(key);
        const metadata = value.toString("utf8", 8);
        offsets.#set(groupId, { topic, partition, offset: readInt64(value, 0), ...(metadata === "" ? {} : { metadata }) });
      }
    }
    return offsets;
  }

  /** Partitions without one are absent. */
  get(groupId: string, partitions: readonly TopicPartition[]): CommittedOffset[] {
    const group = this.#groups.get(groupId);
    return partitions.flatMap((to) => group?.get(name(to)) ?? []);
  }

  /** Throws `unstable-offsets` while a transaction is about to change one of them. */
  getStable(groupId: string, partitions: readonly TopicPartition[]): CommittedOffset[] {
    const unstable = partitions.filter((to) => this.#held.has(heldName(groupId, to)));
    if (unstable.length > 0)
      throw new LogError("unstable-offsets", `a transaction is open on offsets of group ${groupId}`, { partitions: unstable });
    return this.get(groupId, partitions);
  }

  /** Throws `record-too-large` for metadata over 4096 bytes. */
  hold(groupId: string, offsets: readonly CommittedOffset[]): HeldOffsets {
    const operations = offsets.map((offset) => putOperation(groupId, offset));
    const names = offsets.map((offset) => heldName(groupId, offset));
    for (const held of names) this.#held.set(held, (this.#held.get(held) ?? 0) + 1);
    return {
      operations,
      apply: () => {
        for (const offset of offsets) this.#set(groupId, offset);
      },
      release: () => {
        for (const held of names) {
          const count = (this.#held.get(held) ?? 0) - 1;
          if (count > 0) this.#held.set(held, count);
          else this.#held.delete(held);
        }
      },
    };
  }

  async commit(groupId: string, offsets: readonly CommittedOffset[]): Promise<void> {
    if (offsets.length === 0) return;
    await this.#database.write(offsets.map((offset) => putOperation(groupId, offset)));
    for (const offset of offsets) this.#set(groupId, offset);
  }

  async deleteGroup(groupId: string): Promise<void> {
    const group = this.#groups.get(groupId);
    if (group === undefined) return;
    this.#groups.delete(groupId);
    await this.#delete([...group.values()].map((offset) => ({ groupId, offset })));
  }

  /** A new topic of that name begins at offset 0 again. */
  async deleteTopic(topic: string): Promise<void> {
    const gone: { groupId: string; offset: CommittedOffset }[] = [];
    for (const [groupId, group] of this.#groups) {
      for (const [key, offset] of group) {
        if (offset.topic !== topic) continue;
        group.delete(key);
        gone.push({ groupId, offset });
      }
    }
    await this.#delete(gone);
  }

  async #delete(gone: readonly { groupId: string; offset: CommittedOffset }[]): Promise<void> {
    if (gone.length === 0) return;
    await this.#database.write(
      gone.map(({ groupId, offset }) => ({ type: "del", key: committedKey(groupId, offset.topic, offset.partition) })),
    );
  }

  #set(groupId: string, offset: CommittedOffset): void {
    let group = this.#groups.get(groupId);
    if (group === undefined) this.#groups.set(groupId, (group = new Map<string, CommittedOffset>()));
    group.set(name(offset), { ...offset });
  }
}

function putOperation(groupId: string, { topic, partition, offset, metadata = "" }: CommittedOffset): Operation {
  const text = Buffer.from(metadata);
  if (text.length > MAX_METADATA_BYTES)
    throw new LogError("record-too-large", `offset metadata of ${text.length} bytes is over ${MAX_METADATA_BYTES}`);
  const value = Buffer.allocUnsafe(8 + text.length);
  writeInt64(value, offset, 0);
  text.copy(value, 8);
  return { type: "put", key: committedKey(groupId, topic, partition), value };
}

/** "/" is not legal in a topic name. */
function name({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`;
}

function heldName(groupId: string, to: TopicPartition): string {
  return `${name(to)}/${groupId}`;
}
