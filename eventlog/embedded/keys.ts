/**
 * Rows of the database. Big-endian numbers, so that rows of a partition lie in offset order.
 *
 *     meta                                  format version
 *     topic      + name                     topic id, partition count, config (JSON)
 *     dropped    + topic id                 a deleted topic whose rows may still be there
 *     batch      + topic id, partition, base offset   record batch v2, as on Kafka's wire
 *     index      + topic id, partition, base offset   what maintenance must know of it (rows.ts)
 *     partition  + topic id, partition      kept range and cleaning progress (rows.ts)
 *     offset     + group, topic, partition  committed offset and metadata
 */

export const TABLE = { meta: 0x01, topic: 0x02, dropped: 0x03, batch: 0x04, index: 0x05, partition: 0x06, offset: 0x07 } as const;
export type Table = (typeof TABLE)[keyof typeof TABLE];

const TWO_32 = 2 ** 32;

export const META_KEY = Buffer.from([TABLE.meta]);

export function topicKey(name: string): Buffer {
  return Buffer.concat([Buffer.from([TABLE.topic]), Buffer.from(name)]);
}

export function droppedKey(topicId: number): Buffer {
  const key = Buffer.allocUnsafe(5);
  key[0] = TABLE.dropped;
  key.writeUInt32BE(topicId, 1);
  return key;
}

export function partitionKey(topicId: number, partition: number): Buffer {
  const key = Buffer.allocUnsafe(9);
  key[0] = TABLE.partition;
  key.writeUInt32BE(topicId, 1);
  key.writeUInt32BE(partition, 5);
  return key;
}

/** Of the batch or index row that begins at `offset`. */
export function offsetKey(table: Table, topicId: number, partition: number, offset: number): Buffer {
  const key = Buffer.allocUnsafe(17);
  key[0] = table;
  key.writeUInt32BE(topicId, 1);
  key.writeUInt32BE(partition, 5);
  const high = Math.floor(offset / TWO_32);
  key.writeUInt32BE(high, 9);
  key.writeUInt32BE(offset - high * TWO_32, 13);
  return key;
}

export function offsetOfKey(key: Buffer): number {
  return key.readUInt32BE(9) * TWO_32 + key.readUInt32BE(13);
}

/** Of a group's committed offset; group and topic carry their lengths, as either may hold any character. */
export function committedKey(groupId: string, topic: string, partition: number): Buffer {
  const group = Buffer.from(groupId);
  const name = Buffer.from(topic);
  const key = Buffer.allocUnsafe(1 + 2 + group.length + 2 + name.length + 4);
  key[0] = TABLE.offset;
  let at = key.writeUInt16BE(group.length, 1);
  at += group.copy(key, at);
  at = key.writeUInt16BE(name.length, at);
  at += name.copy(key, at);
  key.writeUInt32BE(partition, at);
  return key;
}

export function parseCommittedKey(key: Buffer): { groupId: string; topic: string; partition: number } {
  const groupEnd = 3 + key.readUInt16BE(1);
  const topicEnd = groupEnd + 2 + key.readUInt16BE(groupEnd);
  return {
    groupId: key.toString("utf8", 3, groupEnd),
    topic: key.toString("utf8", groupEnd + 2, topicEnd),
    partition: key.readUInt32BE(topicEnd),
  };
}

/** Every row of a table, or of one topic in the tables that have a topic id first. */
export function tableRange(table: Table, topicId?: number): { gte: Buffer; lt: Buffer } {
  if (topicId === undefined) return { gte: Buffer.from([table]), lt: Buffer.from([table + 1]) };
  const gte = Buffer.from([table, 0, 0, 0, 0]);
  gte.writeUInt32BE(topicId, 1);
  const lt = Buffer.from([table, 0, 0, 0, 0]);
  lt.writeUInt32BE(topicId + 1, 1);
  return { gte, lt };
}

/** Rows of one partition with base offsets in `[from, to)`. */
export function offsetRange(table: Table, topicId: number, partition: number, from: number, to: number): { gte: Buffer; lt: Buffer } {
  return { gte: offsetKey(table, topicId, partition, from), lt: offsetKey(table, topicId, partition, to) };
}
