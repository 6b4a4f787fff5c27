import type { KafkaRequest } from "../wire/request.ts";
import type { WireReader } from "../wire/wire-reader.ts";

export interface BrokerAddress {
  readonly nodeId: number;
  readonly host: string;
  readonly port: number;
}

export interface MetadataResponse {
  readonly brokers: readonly BrokerAddress[];
  readonly controllerId: number;
  readonly topics: readonly {
    readonly errorCode: number;
    readonly topic: string;
    readonly partitions: readonly { readonly errorCode: number; readonly partition: number; readonly leader: number }[];
  }[];
}

/** Metadata v7, the last but one without tags; never creates a topic. An empty list asks for the brokers only. */
export function metadataRequest(topics: readonly string[]): KafkaRequest<MetadataResponse> {
  return {
    apiKey: 3,
    apiVersion: 7,
    name: "Metadata",
    flexible: false,
    encode: (writer) => {
      writer.array(topics, (to, topic) => to.string(topic)).boolean(false);
    },
    decode: (reader) => {
      reader.int32(); // throttle time
      const brokers = readBrokers(reader);
      reader.nullableString(); // cluster id
      const controllerId = reader.int32();
      const topicList = reader.array((from) => {
        const errorCode = from.int16();
        const topic = from.string();
        from.boolean(); // internal
        const partitions = from.array((inner) => {
          const partition = { errorCode: inner.int16(), partition: inner.int32(), leader: inner.int32() };
          inner.int32(); // leader epoch
          for (let list = 0; list < 3; list++) inner.array((node) => node.int32()); // replicas, in sync, offline
          return partition;
        });
        return { errorCode, topic, partitions };
      });
      return { brokers, controllerId, topics: topicList };
    },
  };
}

/** The brokers of a Metadata response, any version without tags. */
export function readBrokers(reader: WireReader): BrokerAddress[] {
  return reader.array((from) => {
    const broker = { nodeId: from.int32(), host: from.string(), port: from.int32() };
    from.nullableString(); // rack
    return broker;
  });
}
