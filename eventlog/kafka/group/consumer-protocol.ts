/**
 * The bytes that members of a classic group exchange, in the format of Kafka's own consumers (ConsumerProtocolSubscription and
 * ConsumerProtocolAssignment, version 0): ours are in the user data.
 */
import { WireReader } from "../wire/wire-reader.ts";
import { WireWriter } from "../wire/wire-writer.ts";

const VERSION = 0;

/**
 * @param rejoins trails the fields that readers know: the coordinator compares the bytes, and a follower that joins again with the
 * same ones is sent back to its old assignment without a rebalance.
 */
export function encodeSubscription(topics: readonly string[], userData: Buffer, rejoins: number): Buffer {
  const writer = new WireWriter().int16(VERSION).array(topics, (to, topic) => to.string(topic));
  return Buffer.concat(writer.bytes(userData).int32(rejoins).finish());
}

export function subscriptionUserData(bytes: Buffer): Buffer {
  const reader = new WireReader(bytes);
  reader.int16(); // version: later ones only append fields
  reader.array((from) => from.string());
  return Buffer.from(reader.bytes());
}

/** No partitions in Kafka's field: what a member gets is for the assignor to say, in the user data. */
export function encodeAssignment(userData: Buffer): Buffer {
  return Buffer.concat(new WireWriter().int16(VERSION).int32(0).bytes(userData).finish());
}

/** Empty for a member that the leader gave nothing. */
export function assignmentUserData(bytes: Buffer): Buffer {
  if (bytes.length === 0) return bytes;
  const reader = new WireReader(bytes);
  reader.int16(); // version
  reader.array((from) => {
    from.string();
    from.array((inner) => inner.int32());
  });
  return Buffer.from(reader.bytes());
}
