import type { KafkaRequest } from "../wire/request.ts";
import { readBrokers, type BrokerAddress } from "./metadata.ts";

export interface TopicDetails {
  readonly errorCode: number;
  readonly topic: string;
  readonly partitions: readonly { readonly leader: number; readonly replicas: number; readonly inSync: number }[];
  /** What the principal may do, a bit for each operation (KIP-430). */
  readonly authorizedOperations: number;
}

export interface ClusterDetails {
  readonly brokers: readonly BrokerAddress[];
  readonly topics: readonly TopicDetails[];
  /** To the cluster itself. */
  readonly authorizedOperations: number;
}

/** Metadata v8 with what the principal may do; never creates a topic. */
export function topicDetailsRequest(topics: readonly string[]): KafkaRequest<ClusterDetails> {
  return {
    apiKey: 3,
    apiVersion: 8,
    name: "Metadata",
    flexible: false,
    encode: (writer) => {
      writer.array(topics, (to, topic) => to.string(topic));
      writer.boolean(false).boolean(true).boolean(true); // create topics, operations on the cluster, on topics
    },
    decode: (reader) => {
      reader.int32(); // throttle time
      const brokers = readBrokers(reader);
      reader.nullableString(); // cluster id
      reader.int32(); // controller
      const details = reader.array((from) => {
        const errorCode = from.int16();
        const topic = from.string();
        from.boolean(); // internal
        const partitions = from.array((inner) => {
          inner.int16(); // error code
          inner.int32(); // partition
          const leader = inner.int32();
          inner.int32(); // leader epoch
          const [replicas, inSync] = [inner.array((node) => node.int32()), inner.array((node) => node.int32())];
          inner.array((node) => node.int32()); // offline replicas
          return { leader, replicas: replicas.length, inSync: inSync.length };
        });
        return { errorCode, topic, partitions, authorizedOperations: from.int32() };
      });
      return { brokers, topics: details, authorizedOperations: reader.int32() };
    },
  };
}
