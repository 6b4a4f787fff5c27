/** Admin requests about topics. */
import type { TopicSpec } from "../../port.ts";
import type { KafkaRequest } from "../wire/request.ts";

export interface NamedError {
  readonly name: string;
  readonly errorCode: number;
  readonly message: string | null;
}

/** CreateTopics v4: the first version where a missing replication factor (-1) means the broker's default. */
export function createTopicsRequest(topics: readonly TopicSpec[], timeoutMs: number): KafkaRequest<NamedError[]> {
  return {
    apiKey: 19,
    apiVersion: 4,
    name: "CreateTopics",
    flexible: false,
    encode: (writer) => {
      writer.array(topics, (to, topic) => {
        to.string(topic.name)
          .int32(topic.partitions)
          .int16(topic.replicationFactor ?? -1)
          .int32(0)
          .array(Object.entries(topic.config), (inner, [key, value]) => inner.string(key).string(value));
      });
      writer.int32(timeoutMs).boolean(false);
    },
    decode: (reader) => {
      reader.int32(); // throttle time
      return reader.array((from) => ({ name: from.string(), errorCode: from.int16(), message: from.nullableString() }));
    },
  };
}

/** DeleteTopics v3. */
export function deleteTopicsRequest(names: readonly string[], timeoutMs: number): KafkaRequest<NamedError[]> {
  return {
    apiKey: 20,
    apiVersion: 3,
    name: "DeleteTopics",
    flexible: false,
    encode: (writer) => {
      writer.array(names, (to, name) => to.string(name)).int32(timeoutMs);
    },
    decode: (reader) => {
      reader.int32(); // throttle time
      return reader.array((from) => ({ name: from.string(), errorCode: from.int16(), message: null }));
    },
  };
}

const TOPIC_RESOURCE = 2;

export interface TopicConfig extends NamedError {
  readonly config: Readonly<Record<string, string>>;
}

/** DescribeConfigs v1 of topics, defaults included. */
export function describeTopicConfigsRequest(names: readonly string[]): KafkaRequest<TopicConfig[]> {
  return {
    apiKey: 32,
    apiVersion: 1,
    name: "DescribeConfigs",
    flexible: false,
    encode: (writer) => {
      writer.array(names, (to, name) => to.int8(TOPIC_RESOURCE).string(name).int32(-1)).boolean(false);
    },
    decode: (reader) => {
      reader.int32(); // throttle time
      return reader.array((from) => {
        const errorCode = from.int16();
        const message = from.nullableString();
        from.int8(); // resource type
        const name = from.string();
        const config: Record<string, string> = {};
        from.array((inner) => {
          const key = inner.string();
          const value = inner.nullableString();
          if (value !== null) config[key] = value;
          inner.boolean(); // read only
          inner.int8(); // source
          inner.boolean(); // sensitive
          inner.array((synonym) => {
            synonym.string();
            synonym.nullableString();
            synonym.int8();
          });
        });
        return { name, errorCode, message, config };
      });
    },
  };
}
