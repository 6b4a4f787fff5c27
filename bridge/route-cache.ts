/** What of a record depends on its MQTT topic alone, computed once per topic instead of once per message. */
import { isUtf8 } from "node:buffer";
import type { RecordHeader, TopicPartition } from "../eventlog/port.ts";
import { partitionForKey } from "../eventlog/records/murmur2.ts";
import { RAW_HEADERS, deviceKey } from "../processors/formats/names.ts";
import { ACK_TEMPLATE, SHADOW_TEMPLATES, telemetryTopic } from "./device-topic.ts";
import { TopicTemplates } from "./topic-templates.ts";
import { TopicTable } from "./wire/topic-table.ts";

/** The topic a message came on, when `mqtt.topic` is the design's topic of its device instead. */
const ORIGINAL_TOPIC_HEADER = "mqtt.topic.original";

const ACKS = new TopicTemplates([ACK_TEMPLATE]);
const SHADOWS = new TopicTemplates(SHADOW_TEMPLATES);

/** `ack`: an answer to a command. `shadow`: a report to the device's shadow, or its asking for that. `state`: whether it is there. */
export type MessageKind = "telemetry" | "ack" | "shadow" | "state";

export interface Route {
  readonly topic: string;
  /** As it came. */
  readonly topicBytes: Uint8Array;
  /** UTF-8 of `tenant|deviceId`; null when the topic is none that devices publish to: the message is a dead letter. */
  readonly key: Uint8Array | null;
  /** The same as text, and its tenant; empty when there is no key. */
  readonly deviceKey: string;
  readonly tenant: string;
  /** Else it is another slot's, which gets it too: acknowledged and forgotten. */
  readonly isOwn: boolean;
  readonly kind: MessageKind;
  /** Where the record goes: telemetry to the raw topic, an answer to a command or a report to a shadow to its own. */
  readonly target: TopicPartition;
  /** Where a dead letter of this topic goes. */
  readonly dlq: TopicPartition;
  /** The worker checks it against the key, so a topic of another template is given as the design's, and as it was beside it. */
  readonly topicHeader: RecordHeader;
  readonly originalTopicHeader: RecordHeader | undefined;
}

/** Why a topic is a bad one. */
export const NO_DEVICE_TOPIC = "no topic template fits, and it is no other topic of a device";

const NOTHING = new Uint8Array(0);
const NOWHERE: TopicPartition = { topic: "", partition: 0 };

/** Of what is no message. */
export const NO_ROUTE: Route = {
  topic: "",
  topicBytes: NOTHING,
  key: null,
  deviceKey: "",
  tenant: "",
  isOwn: false,
  kind: "telemetry",
  target: NOWHERE,
  dlq: NOWHERE,
  topicHeader: { key: RAW_HEADERS.topic, value: NOTHING },
  originalTopicHeader: undefined,
};

/** @param key UTF-8 of `tenant|deviceId`, or the topic's own bytes where it is no device's */
export type Owns = (topic: string, key: Uint8Array) => boolean;

export interface RouteTargets {
  readonly raw: string;
  readonly rawPartitions: number;
  /** Of tenants whose telemetry goes elsewhere, by tenant. */
  readonly tenantRaw?: ReadonlyMap<string, { readonly topic: string; readonly partitions: number }>;
  /** Where answers to commands go. Absent: they are dead letters. */
  readonly acks?: string;
  readonly acksPartitions?: number;
  /** Where devices' reports to their shadows go, and their asking for them. Absent: they are dead letters. */
  readonly shadow?: string;
  readonly shadowPartitions?: number;
  readonly dlq: string;
  readonly dlqPartitions: number;
}

export class RouteCache {
  readonly #targets: RouteTargets;
  readonly #templates: TopicTemplates;
  readonly #states: TopicTemplates | undefined;
  readonly #owns: Owns | undefined;
  readonly #routes: TopicTable<Route>;

  /**
   * @param maxTopics about 500 bytes each.
   * @param states topics on which devices say whether they are there; absent: such a topic is a bad one
   * @param owns absent: every topic is this ingress' own
   */
  constructor(targets: RouteTargets, maxTopics: number, templates = new TopicTemplates(), states?: TopicTemplates, owns?: Owns) {
    this.#targets = targets;
    this.#templates = templates;
    this.#states = states;
    this.#owns = owns;
    this.#routes = new TopicTable(maxTopics);
  }

  get size(): number {
    return this.#routes.size;
  }

  /** The route of the topic in `bytes[start, end)`. */
  routeOf(bytes: Uint8Array, start: number, end: number): Route {
    const known = this.#routes.get(bytes, start, end);
    if (known !== undefined) return known;
    const route = this.#compute(Buffer.from(bytes.subarray(start, end)));
    // A bad topic is not kept: its length has no bound of ours, and it is rare or an attack.
    if (route.key !== null) this.#routes.set(route);
    return route;
  }

  route(topic: string): Route {
    const bytes = Buffer.from(topic);
    return this.routeOf(bytes, 0, bytes.length);
  }

  #compute(topicBytes: Buffer): Route {
    const topic = topicBytes.toString();
    const { raw, rawPartitions, tenantRaw, acks, acksPartitions = 1, shadow, shadowPartitions = 1, dlq, dlqPartitions } = this.#targets;
    // Two topics that are no UTF-8 would be the same text, and the same device.
    const parse = (templates: TopicTemplates | undefined) => (isUtf8(topicBytes) ? templates?.parse(topic) : undefined);
    const telemetry = parse(this.#templates);
    const state = telemetry === undefined ? parse(this.#states) : undefined;
    const ack = acks === undefined ? undefined : parse(ACKS);
    const report = shadow === undefined ? undefined : parse(SHADOWS);
    const parsed = telemetry ?? state ?? ack ?? report;
    let kind: MessageKind = "telemetry";
    if (telemetry === undefined && parsed !== undefined) kind = state !== undefined ? "state" : ack !== undefined ? "ack" : "shadow";
    let target = tenantRaw?.get(parsed?.tenant ?? "") ?? { topic: raw, partitions: rawPartitions };
    if (kind === "ack" && acks !== undefined) target = { topic: acks, partitions: acksPartitions };
    else if (kind === "shadow" && shadow !== undefined) target = { topic: shadow, partitions: shadowPartitions };
    const { topic: to, partitions } = target;
    const text = parsed === undefined ? "" : deviceKey(parsed.tenant, parsed.deviceId);
    const key = parsed === undefined ? null : Buffer.from(text);
    const canonical = telemetry === undefined ? topic : telemetryTopic(telemetry.tenant, telemetry.deviceId);
    // A bad topic has no device: its own bytes pick the dead letter's partition, and no raw partition is ever used.
    const hashed = key ?? topicBytes;
    return {
      topic,
      topicBytes,
      key,
      deviceKey: text,
      tenant: parsed?.tenant ?? "",
      isOwn: this.#owns?.(topic, hashed) ?? true,
      kind,
      target: { topic: to, partition: partitionForKey(hashed, 0, hashed.length, partitions) },
      dlq: { topic: dlq, partition: partitionForKey(hashed, 0, hashed.length, dlqPartitions) },
      topicHeader: { key: RAW_HEADERS.topic, value: canonical === topic ? topicBytes : Buffer.from(canonical) },
      originalTopicHeader: canonical === topic ? undefined : { key: ORIGINAL_TOPIC_HEADER, value: topicBytes },
    };
  }
}
