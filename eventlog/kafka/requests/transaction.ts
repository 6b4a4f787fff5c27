/** The three requests to the transaction coordinator that end or extend a transaction, all at v1. */
import { byTopic } from "../wire/by-topic.ts";
import type { KafkaRequest } from "../wire/request.ts";

export interface TransactionIdentity {
  readonly transactionalId: string;
  readonly producerId: number;
  readonly producerEpoch: number;
}

export interface PartitionError {
  readonly topic: string;
  readonly partition: number;
  readonly errorCode: number;
}

export function addPartitionsToTxnRequest(
  who: TransactionIdentity,
  partitions: readonly { readonly topic: string; readonly partition: number }[],
): KafkaRequest<PartitionError[]> {
  return {
    apiKey: 24,
    apiVersion: 1,
    name: "AddPartitionsToTxn",
    flexible: false,
    encode: (writer) => {
      writer.string(who.transactionalId).int64(who.producerId).int16(who.producerEpoch);
      writer.array(byTopic(partitions), (to, group) => {
        to.string(group.topic).array(group.partitions, (inner, one) => inner.int32(one.partition));
      });
    },
    decode: (reader) => {
      reader.int32(); // throttle time
      const topics = reader.array((from) => {
        const topic = from.string();
        return from.array((inner) => ({ topic, partition: inner.int32(), errorCode: inner.int16() }));
      });
      return topics.flat();
    },
  };
}

/** Answers with the error code. */
export function addOffsetsToTxnRequest(who: TransactionIdentity, groupId: string): KafkaRequest<number> {
  return {
    apiKey: 25,
    apiVersion: 1,
    name: "AddOffsetsToTxn",
    flexible: false,
    encode: (writer) => {
      writer.string(who.transactionalId).int64(who.producerId).int16(who.producerEpoch).string(groupId);
    },
    decode: (reader) => {
      reader.int32(); // throttle time
      return reader.int16();
    },
  };
}

/** Answers with the error code. With the same epoch it may be sent again: the coordinator answers as it did before. */
export function endTxnRequest(who: TransactionIdentity, commit: boolean): KafkaRequest<number> {
  return {
    apiKey: 26,
    apiVersion: 1,
    name: "EndTxn",
    flexible: false,
    encode: (writer) => {
      writer.string(who.transactionalId).int64(who.producerId).int16(who.producerEpoch).boolean(commit);
    },
    decode: (reader) => {
      reader.int32(); // throttle time
      return reader.int16();
    },
  };
}
