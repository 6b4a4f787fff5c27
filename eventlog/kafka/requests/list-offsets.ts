import { byTopic } from "../wire/by-topic.ts";
import type { KafkaRequest } from "../wire/request.ts";

/** Timestamps with a meaning of their own. */
export const LATEST_TIMESTAMP = -1;
export const EARLIEST_TIMESTAMP = -2;

export interface ListOffsetsPartitionResponse {
  readonly topic: string;
  readonly partition: number;
  readonly errorCode: number;
  /** -1: no record that young. */
  readonly offset: number;
}

/** ListOffsets v5. Under read_committed "latest" is the last stable offset. */
export function listOffsetsRequest(
  partitions: readonly { readonly topic: string; readonly partition: number }[],
  timestamp: number,
  readCommitted: boolean,
): KafkaRequest<ListOffsetsPartitionResponse[]> {
  return {
    apiKey: 2,
    apiVersion: 5,
    name: "ListOffsets",
    flexible: false,
    encode: (writer) => {
      writer.int32(-1).int8(readCommitted ? 1 : 0);
      writer.array(byTopic(partitions), (to, group) => {
        to.string(group.topic).array(group.partitions, (inner, one) => inner.int32(one.partition).int32(-1).int64(timestamp));
      });
    },
    decode: (reader) => {
      reader.int32(); // throttle time
      const topics = reader.array((from) => {
        const topic = from.string();
        return from.array((inner) => {
          const head = { topic, partition: inner.int32(), errorCode: inner.int16() };
          inner.int64(); // timestamp
          const answer = { ...head, offset: inner.int64() };
          inner.int32(); // leader epoch
          return answer;
        });
      });
      return topics.flat();
    },
  };
}
