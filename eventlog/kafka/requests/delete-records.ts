import type { PartitionOffset } from "../../port.ts";
import { byTopic } from "../wire/by-topic.ts";
import type { KafkaRequest } from "../wire/request.ts";
import type { PartitionError } from "./transaction.ts";

/** DeleteRecords v1: each partition then begins at its offset. To the partitions' leader. */
export function deleteRecordsRequest(before: readonly PartitionOffset[], timeoutMs: number): KafkaRequest<PartitionError[]> {
  return {
    apiKey: 21,
    apiVersion: 1,
    name: "DeleteRecords",
    flexible: false,
    encode: (writer) => {
      writer.array(byTopic(before), (to, { topic, partitions }) => {
        to.string(topic).array(partitions, (inner, one) => inner.int32(one.partition).int64(one.offset));
      });
      writer.int32(timeoutMs);
    },
    decode: (reader) => {
      reader.int32(); // throttle time
      const topics = reader.array((from) => {
        const topic = from.string();
        return from.array((inner) => {
          const partition = inner.int32();
          inner.int64(); // where it begins now
          return { topic, partition, errorCode: inner.int16() };
        });
      });
      return topics.flat();
    },
  };
}
