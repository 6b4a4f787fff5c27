/** What of a record depends on its MQTT topic alone, computed once per topic instead of once per message. */
import type { RecordHeader, TopicPartition } from "../eventlog/port.ts";
import { partitionForKey } from "../eventlog/records/murmur2.ts";
import { RAW_HEADERS, deviceKey } from "../processors/formats/names.ts";
import { RecentMap } from "./recent-map.ts";
import { ACK_TEMPLATE, telemetryTopic } from "./device-topic.ts";
import { TopicTemplates } from "./topic-templates.ts";

/** The topic a message came on, when `mqtt.topic` is the design's topic of its device instead. */
const ORIGINAL_TOPIC_HEADER = "mqtt.topic.original";

const ACKS = new TopicTemplates([ACK_TEMPLATE]);

export interface Route {
  /** UTF-8 of `tenant|deviceId`; null when the topic is none that devices publish to: the message is a dead letter. */
  readonly key: Uint8Array | null;
  /** The same as text, and its tenant; empty when there is no key. */
  readonly deviceKey: string;
  readonly tenant: string;
  /** The device says on it whether it is there, instead of sending telemetry. */
  readonly isState: boolean;
  /** Where the record goes: telemetry to the raw topic, an answer to a command to its own. */
  readonly target: TopicPartition;
  /** Where a dead letter of this topic goes. */
  readonly dlq: TopicPartition;
  /** The worker checks it against the key, so a topic of another template is given as the design's, and as it was beside it. */
  readonly topicHeader: RecordHeader;
  readonly originalTopicHeader: RecordHeader | undefined;
}

export interface RouteTargets {
  readonly raw: string;
  readonly rawPartitions: number;
  /** Of tenants whose telemetry goes elsewhere, by tenant. */
  readonly tenantRaw?: ReadonlyMap<string, { readonly topic: string; readonly partitions: number }>;
  /** Where answers to commands go. Absent: they are dead letters. */
  readonly acks?: string;
  readonly acksPartitions?: number;
  readonly dlq: string;
  readonly dlqPartitions: number;
}

export class RouteCache {
  readonly #targets: RouteTargets;
  readonly #templates: TopicTemplates;
  readonly #states: TopicTemplates | undefined;
  readonly #routes: RecentMap<Route>;

  /**
   * @param maxTopics about 500 bytes each.
   * @param states topics on which devices say whether they are there; absent: such a topic is a bad one
   */
  constructor(targets: RouteTargets, maxTopics: number, templates = new TopicTemplates(), states?: TopicTemplates) {
    this.#targets = targets;
    this.#templates = templates;
    this.#states = states;
    this.#routes = new RecentMap(maxTopics);
  }

  get size(): number {
    return this.#routes.size;
  }

  route(topic: string): Route {
    const known = this.#routes.get(topic);
    if (known !== undefined) return known;
    const route = this.#compute(topic);
    // A bad topic is not kept: its length has no bound of ours, and it is rare or an attack.
    if (route.key !== null) this.#routes.set(topic, route);
    return route;
  }

  #compute(topic: string): Route {
    const { raw, rawPartitions, tenantRaw, acks, acksPartitions = 1, dlq, dlqPartitions } = this.#targets;
    const telemetry = this.#templates.parse(topic);
    const state = telemetry === undefined ? this.#states?.parse(topic) : undefined;
    const ack = acks === undefined ? undefined : ACKS.parse(topic);
    const parsed = telemetry ?? state ?? ack;
    const isAck = telemetry === undefined && state === undefined && ack !== undefined;
    const own = parsed === undefined ? undefined : tenantRaw?.get(parsed.tenant);
    const { topic: to, partitions } =
      isAck && acks !== undefined ? { topic: acks, partitions: acksPartitions } : (own ?? { topic: raw, partitions: rawPartitions });
    const topicBytes = Buffer.from(topic);
    const text = parsed === undefined ? "" : deviceKey(parsed.tenant, parsed.deviceId);
    const key = parsed === undefined ? null : Buffer.from(text);
    const canonical = telemetry === undefined ? topic : telemetryTopic(telemetry.tenant, telemetry.deviceId);
    // A bad topic has no device: its own bytes pick the dead letter's partition, and no raw partition is ever used.
    const hashed = key ?? topicBytes;
    return {
      key,
      deviceKey: text,
      tenant: parsed?.tenant ?? "",
      isState: state !== undefined,
      target: { topic: to, partition: partitionForKey(hashed, 0, hashed.length, partitions) },
      dlq: { topic: dlq, partition: partitionForKey(hashed, 0, hashed.length, dlqPartitions) },
      topicHeader: { key: RAW_HEADERS.topic, value: canonical === topic ? topicBytes : Buffer.from(canonical) },
      originalTopicHeader: canonical === topic ? undefined : { key: ORIGINAL_TOPIC_HEADER, value: topicBytes },
    };
  }
}
