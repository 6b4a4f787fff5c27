import type { KafkaRequest } from "../wire/request.ts";

/** DescribeQuorum v1 (KIP-836) of the metadata log. */
export interface QuorumResponse {
  readonly errorCode: number;
  readonly leaderId: number;
  /** The leader's clock, epoch ms: it has caught up with itself at the time of asking. */
  readonly leaderTimeMs: number | undefined;
}

export function describeQuorumRequest(): KafkaRequest<QuorumResponse> {
  return {
    apiKey: 55,
    apiVersion: 1,
    name: "DescribeQuorum",
    flexible: true,
    encode: (writer) => {
      writer.compactArray(["__cluster_metadata"], (to, topic) => {
        to.compactString(topic)
          .compactArray([0], (inner, partition) => inner.int32(partition).noTags())
          .noTags();
      });
      writer.noTags();
    },
    decode: (reader) => {
      const topError = reader.int16();
      const partitions = reader.compactArray((from) => {
        from.compactString(); // topic
        const inner = from.compactArray((one) => {
          one.int32(); // partition
          const errorCode = one.int16();
          const leaderId = one.int32();
          one.int32(); // leader epoch
          one.int64(); // high watermark
          const replicas = [1, 2].flatMap(() =>
            one.compactArray((replica) => {
              const nodeId = replica.int32();
              replica.int64(); // log end
              replica.int64(); // last fetch
              const caughtUpMs = replica.int64();
              replica.tags();
              return { nodeId, caughtUpMs };
            }),
          );
          one.tags();
          const leader = replicas.find(({ nodeId, caughtUpMs }) => nodeId === leaderId && caughtUpMs > 0);
          return { errorCode, leaderId, leaderTimeMs: leader?.caughtUpMs };
        });
        from.tags();
        return inner;
      });
      const [partition] = partitions.flat();
      return {
        errorCode: topError === 0 ? partition.errorCode : topError,
        leaderId: partition?.leaderId ?? -1,
        leaderTimeMs: partition?.leaderTimeMs,
      };
    },
  };
}
