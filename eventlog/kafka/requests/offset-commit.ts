import type { CommittedOffset, GroupMetadata } from "../../port.ts";
import { byTopic } from "../wire/by-topic.ts";
import type { KafkaRequest } from "../wire/request.ts";
import type { PartitionError } from "./transaction.ts";

/** OffsetCommit v7: with the group instance id. */
export function offsetCommitRequest(group: GroupMetadata, offsets: readonly CommittedOffset[]): KafkaRequest<PartitionError[]> {
  return {
    apiKey: 8,
    apiVersion: 7,
    name: "OffsetCommit",
    flexible: false,
    encode: (writer) => {
      writer.string(group.groupId).int32(group.generationId).string(group.memberId).nullableString(group.instanceId);
      writer.array(byTopic(offsets), (to, { topic, partitions }) => {
        to.string(topic).array(partitions, (inner, one) =>
          inner
            .int32(one.partition)
            .int64(one.offset)
            .int32(-1)
            .nullableString(one.metadata ?? ""),
        );
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
