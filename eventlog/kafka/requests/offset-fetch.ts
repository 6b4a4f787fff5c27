import { byTopic } from "../wire/by-topic.ts";
import type { KafkaRequest } from "../wire/request.ts";

export interface OffsetFetchResponse {
  readonly errorCode: number;
  readonly partitions: readonly {
    readonly topic: string;
    readonly partition: number;
    /** -1: none committed. */
    readonly offset: number;
    readonly metadata: string;
    readonly errorCode: number;
  }[];
}

/** OffsetFetch v7 (flexible). With `requireStable` a partition with an open transaction answers 88 (KIP-447). */
export function offsetFetchRequest(
  groupId: string,
  partitions: readonly { readonly topic: string; readonly partition: number }[],
  requireStable: boolean,
): KafkaRequest<OffsetFetchResponse> {
  return {
    apiKey: 9,
    apiVersion: 7,
    name: "OffsetFetch",
    flexible: true,
    encode: (writer) => {
      writer.compactString(groupId);
      writer.compactArray(byTopic(partitions), (to, group) => {
        to.compactString(group.topic)
          .compactArray(group.partitions, (inner, one) => inner.int32(one.partition))
          .noTags();
      });
      writer.boolean(requireStable).noTags();
    },
    decode: (reader) => {
      reader.int32(); // throttle time
      const topics = reader.compactArray((from) => {
        const topic = from.compactString();
        const list = from.compactArray((inner) => {
          const partition = inner.int32();
          const offset = inner.int64();
          inner.int32(); // leader epoch
          const answer = { topic, partition, offset, metadata: inner.compactString(), errorCode: inner.int16() };
          inner.tags();
          return answer;
        });
        from.tags();
        return list;
      });
      return { errorCode: reader.int16(), partitions: topics.flat() };
    },
  };
}
