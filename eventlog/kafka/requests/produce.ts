import { byTopic } from "../wire/by-topic.ts";
import type { KafkaRequest } from "../wire/request.ts";

/** One finished record batch of one partition. Kafka refuses more than one a partition and request (magic 2). */
export interface ProduceBatch {
  readonly topic: string;
  readonly partition: number;
  readonly bytes: Buffer;
}

export interface ProducePartitionResponse {
  readonly topic: string;
  readonly partition: number;
  readonly errorCode: number;
  /** -1 with an error. */
  readonly baseOffset: number;
}

/** Produce v7 with acks=all. Batches go to the socket uncopied: they must not change until the answer is there. */
export function produceRequest(
  batches: readonly ProduceBatch[],
  transactionalId: string | null,
  timeoutMs: number,
): KafkaRequest<ProducePartitionResponse[]> {
  return {
    apiKey: 0,
    apiVersion: 7,
    name: "Produce",
    flexible: false,
    encode: (writer) => {
      writer.nullableString(transactionalId).int16(-1).int32(timeoutMs);
      writer.array(byTopic(batches), (to, { topic, partitions }) => {
        to.string(topic).array(partitions, (inner, batch) => inner.int32(batch.partition).bytes(batch.bytes));
      });
    },
    decode: (reader) => {
      const topics = reader.array((from) => {
        const topic = from.string();
        return from.array((inner) => {
          const answer = { topic, partition: inner.int32(), errorCode: inner.int16(), baseOffset: inner.int64() };
          inner.int64(); // log append time
          inner.int64(); // log start offset
          return answer;
        });
      });
      return topics.flat();
    },
  };
}
