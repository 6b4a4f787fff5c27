import { byTopic } from "../wire/by-topic.ts";
import type { KafkaRequest } from "../wire/request.ts";

export interface FetchPartition {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly maxBytes: number;
}

export interface FetchOptions {
  readonly maxWaitMs: number;
  readonly maxBytes: number;
  readonly readCommitted: boolean;
}

export interface AbortedTransaction {
  readonly producerId: number;
  readonly firstOffset: number;
}

export interface FetchPartitionResponse {
  readonly topic: string;
  readonly partition: number;
  readonly errorCode: number;
  readonly highWatermark: number;
  readonly lastStableOffset: number;
  /** In no particular order (only present under read_committed). */
  readonly aborted: readonly AbortedTransaction[];
  /** A slice of the response: whole record batches, the last one possibly cut off. */
  readonly records: Buffer;
}

export interface FetchResponse {
  readonly errorCode: number;
  readonly partitions: readonly FetchPartitionResponse[];
}

const NO_EPOCH = -1;

/** Fetch v11 without a fetch session: each request names every partition it wants, in the order it wants them served. */
export function fetchRequest(partitions: readonly FetchPartition[], options: FetchOptions): KafkaRequest<FetchResponse> {
  return {
    apiKey: 1,
    apiVersion: 11,
    name: "Fetch",
    flexible: false,
    encode: (writer) => {
      writer.int32(-1).int32(options.maxWaitMs).int32(1).int32(options.maxBytes);
      writer
        .int8(options.readCommitted ? 1 : 0)
        .int32(0)
        .int32(-1);
      writer.array(byTopic(partitions), (to, group) => {
        to.string(group.topic).array(group.partitions, (inner, one) =>
          inner.int32(one.partition).int32(NO_EPOCH).int64(one.offset).int64(-1).int32(one.maxBytes),
        );
      });
      writer.int32(0).string("");
    },
    decode: (reader) => {
      reader.int32(); // throttle time
      const errorCode = reader.int16();
      reader.int32(); // session id
      const topics = reader.array((from) => {
        const topic = from.string();
        return from.array((inner): FetchPartitionResponse => {
          const head = {
            topic,
            partition: inner.int32(),
            errorCode: inner.int16(),
            highWatermark: inner.int64(),
            lastStableOffset: inner.int64(),
          };
          inner.int64(); // log start offset
          const aborted = inner.array((one) => ({ producerId: one.int64(), firstOffset: one.int64() }));
          inner.int32(); // preferred read replica: only set for a client that names its rack
          return { ...head, aborted, records: inner.bytes() };
        });
      });
      return { errorCode, partitions: topics.flat() };
    },
  };
}
