/** What of a record depends on its MQTT topic alone, computed once per topic instead of once per message. */
import type { RecordHeader, TopicPartition } from "../eventlog/port.ts";
import { partitionForKey } from "../eventlog/records/murmur2.ts";
import { RAW_HEADERS, deviceKey } from "../processors/formats/names.ts";
import { parseAckTopic, parseTelemetryTopic } from "./device-topic.ts";

export interface Route {
  /** UTF-8 of `tenant|deviceId`; null when the topic is none that devices publish to: the message is a dead letter. */
  readonly key: Uint8Array | null;
  /** Where the record goes: telemetry to the raw topic, an answer to a command to its own. */
  readonly target: TopicPartition;
  /** Where a dead letter of this topic goes. */
  readonly dlq: TopicPartition;
  readonly topicHeader: RecordHeader;
}

export interface RouteTargets {
  readonly raw: string;
  readonly rawPartitions: number;
  /** Where answers to commands go. Absent: they are dead letters. */
  readonly acks?: string;
  readonly acksPartitions?: number;
  readonly dlq: string;
  readonly dlqPartitions: number;
}

/**
 * Bounded: two generations of a Map. A full young one becomes the old one and the old one goes, so what was used
 * since then stays; a plain look-up costs no re-ordering, as a linked LRU's would.
 */
export class RouteCache {
  readonly #targets: RouteTargets;
  readonly #generationSize: number;
  #young = new Map<string, Route>();
  #old = new Map<string, Route>();

  /** @param maxTopics about 500 bytes each. */
  constructor(targets: RouteTargets, maxTopics: number) {
    this.#targets = targets;
    this.#generationSize = Math.max(1, Math.floor(maxTopics / 2));
  }

  get size(): number {
    return this.#young.size + this.#old.size;
  }

  route(topic: string): Route {
    const known = this.#young.get(topic);
    if (known !== undefined) return known;
    const route = this.#old.get(topic) ?? this.#compute(topic);
    // A bad topic is not kept: its length has no bound of ours, and it is rare or an attack.
    if (route.key === null) return route;
    if (this.#young.size >= this.#generationSize) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(topic, route);
    return route;
  }

  #compute(topic: string): Route {
    const { raw, rawPartitions, acks, acksPartitions = 1, dlq, dlqPartitions } = this.#targets;
    const telemetry = parseTelemetryTopic(topic);
    const parsed = telemetry ?? (acks === undefined ? undefined : parseAckTopic(topic));
    const [to, partitions] = telemetry === undefined && acks !== undefined ? [acks, acksPartitions] : [raw, rawPartitions];
    const topicBytes = Buffer.from(topic);
    const key = parsed === undefined ? null : Buffer.from(deviceKey(parsed.tenant, parsed.deviceId));
    // A bad topic has no device: its own bytes pick the dead letter's partition, and no other is ever used.
    const hashed = key ?? topicBytes;
    return {
      key,
      target: { topic: to, partition: partitionForKey(hashed, 0, hashed.length, partitions) },
      dlq: { topic: dlq, partition: partitionForKey(hashed, 0, hashed.length, dlqPartitions) },
      topicHeader: { key: RAW_HEADERS.topic, value: topicBytes },
    };
  }
}
