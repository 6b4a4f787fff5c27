import type { CommittedOffset, GroupMetadata } from "../../port.ts";
import { byTopic } from "../wire/by-topic.ts";
import type { KafkaRequest } from "../wire/request.ts";
import type { PartitionError, TransactionIdentity } from "./transaction.ts";

/** TxnOffsetCommit v3 (flexible): the first version that carries generation and member (KIP-447). */
export function txnOffsetCommitRequest(
  who: TransactionIdentity,
  group: GroupMetadata,
  offsets: readonly CommittedOffset[],
): KafkaRequest<PartitionError[]> {
  return {
    apiKey: 28,
    apiVersion: 3,
    name: "TxnOffsetCommit",
    flexible: true,
    encode: (writer) => {
      writer.compactString(who.transactionalId).compactString(group.groupId).int64(who.producerId).int16(who.producerEpoch);
      writer.int32(group.generationId).compactString(group.memberId).compactNullableString(group.instanceId);
      writer.compactArray(byTopic(offsets), (to, { topic, partitions }) => {
        to.compactString(topic)
          .compactArray(partitions, (inner, one) =>
            inner
              .int32(one.partition)
              .int64(one.offset)
              .int32(-1)
              .compactNullableString(one.metadata ?? "")
              .noTags(),
          )
          .noTags();
      });
      writer.noTags();
    },
    decode: (reader) => {
      reader.int32(); // throttle time
      const topics = reader.compactArray((from) => {
        const topic = from.compactString();
        const partitions = from.compactArray((inner) => {
          const answer = { topic, partition: inner.int32(), errorCode: inner.int16() };
          inner.tags();
          return answer;
        });
        from.tags();
        return partitions;
      });
      return topics.flat();
    },
  };
}
