/**
 * The uplink to Kafka: stored messages become raw records, as the ingress would have written them, with the gateway's receive time as
 * the record's. One batch a partition in each write: if it fails, nothing behind it is there.
 */
import { DEAD_LETTER_KEPT_BYTES, deadLetterHeaders, truncateDeadLetter } from "../../eventlog/dead-letter.ts";
import { LogError } from "../../eventlog/errors.ts";
import type { EventLog, PlainWriter, RecordHeader, TopicPartition } from "../../eventlog/port.ts";
import { RecordSet } from "../../eventlog/records/record-set.ts";
import type { DlqReason } from "../../processors/formats/names.ts";
import type { AdmissionSettings } from "../admission/settings.ts";
import { NO_DEVICE_TOPIC, RouteCache } from "../route-cache.ts";
import { STATES } from "../presence/formats.ts";
import { routeTargets, type TargetTopics } from "../route-targets.ts";
import { TopicTemplates } from "../topic-templates.ts";
import { within } from "../within.ts";
import type { GatewayPresence } from "./gateway-presence.ts";
import type { StoredMessage } from "./message.ts";
import type { Sent, UplinkTarget } from "./uplink.ts";

export interface KafkaTargetOptions {
  /** Closed with the target. */
  readonly log: EventLog;
  readonly topics: TargetTopics;
  /** Which topics are telemetry, and which tenants have a raw topic of their own. */
  readonly admission: Pick<AdmissionSettings, "templates" | "tenants">;
  readonly gatewayId: string;
  /** Told of what is forwarded; closed with the target. Absent: states are passed over. */
  readonly presence?: GatewayPresence;
}

/** Above any batch of the uplink, so that a write has one batch a partition. Bytes. */
const MAX_BATCH_BYTES = 64 * 1024 * 1024;
const MAX_ROUTES = 20_000;
const CLOSE_TIMEOUT_MS = 2_000;

export class KafkaTarget implements UplinkTarget {
  readonly #options: KafkaTargetOptions;
  readonly #writer: PlainWriter;
  readonly #closed = Promise.withResolvers<Sent>();
  #routes: RouteCache | undefined;

  constructor(options: KafkaTargetOptions) {
    this.#options = options;
    this.#writer = options.log.plainWriter({ lingerMs: 0 });
  }

  async connect(): Promise<void> {
    if (this.#routes !== undefined) return;
    const { log, topics, admission, presence } = this.#options;
    await presence?.start();
    this.#routes = new RouteCache(await routeTargets(log, topics, admission), MAX_ROUTES, new TopicTemplates(admission.templates), STATES);
  }

  async send(messages: readonly StoredMessage[]): Promise<Sent> {
    // After close() what is under way is nobody's business any more.
    const sent = await Promise.race([this.#send(messages), this.#closed.promise]);
    this.#tellPresence(messages.slice(0, sent.taken), sent.error);
    return sent;
  }

  caughtUp(): void {
    this.#options.presence?.caughtUp();
  }

  fellBehind(): void {
    this.#options.presence?.fellBehind();
  }

  /** What is under way has a moment to be answered; after that it goes again at the next start. */
  async close(): Promise<void> {
    this.#closed.resolve({ taken: 0, refused: [], error: new LogError("closed", "the uplink is closed") });
    await within(Promise.all([this.#writer.close(), this.#options.presence?.close()]), CLOSE_TIMEOUT_MS);
    await this.#options.log.close();
  }

  #tellPresence(forwarded: readonly StoredMessage[], error: Error | undefined): void {
    const { presence } = this.#options;
    if (presence === undefined) return;
    for (const message of forwarded) {
      const route = message.isGap ? undefined : this.#routes?.route(message.topic);
      if (route !== undefined && route.key !== null) presence.forwarded(route, message);
    }
    if (error !== undefined) presence.fellBehind();
  }

  async #send(messages: readonly StoredMessage[]): Promise<Sent> {
    try {
      await this.#write(messages);
      return { taken: messages.length, refused: [] };
    } catch (error) {
      if (error instanceof LogError && error.code === "record-too-large") return this.#sendSingly(messages);
      // Partition counts are asked for again: the topic may be another one now.
      if (error instanceof LogError && error.action === "fatal") this.#routes = undefined;
      return { taken: 0, refused: [], error: error as Error };
    }
  }

  /** One of them is larger than its topic takes: found by writing them one by one, and set aside as a dead letter. */
  async #sendSingly(messages: readonly StoredMessage[]): Promise<Sent> {
    for (const [index, message] of messages.entries()) {
      try {
        await this.#write([message]).catch((error: unknown) => {
          if (error instanceof LogError && error.code === "record-too-large") return this.#write([message], error.message);
          throw error;
        });
      } catch (error) {
        return { taken: index, refused: [], error: error as Error };
      }
    }
    return { taken: messages.length, refused: [] };
  }

  /** @param tooLarge why they are dead letters */
  async #write(messages: readonly StoredMessage[], tooLarge?: string): Promise<void> {
    const set = new RecordSet(MAX_BATCH_BYTES);
    for (const message of messages) this.#append(set, message, tooLarge);
    if (set.recordCount > 0) await this.#writer.write(set);
  }

  #append(set: RecordSet, message: StoredMessage, tooLarge: string | undefined): void {
    const { topic, headers, value, isGap } = message;
    const route = this.#routes?.route(topic);
    if (route === undefined) throw new LogError("invalid-state", "send() before connect()");
    // Presence is told of them when the batch is durable; the raw topic has no states.
    if (route.kind === "state") return;
    if (isGap) return this.#appendLetter(set, message, route.dlq, null, "gateway-gap", gapText(value));
    if (tooLarge !== undefined) return this.#appendLetter(set, message, route.dlq, route.key, "too-large", tooLarge);
    if (route.key === null) return this.#appendLetter(set, message, route.dlq, null, "bad-topic", NO_DEVICE_TOPIC);
    if (route.originalTopicHeader === undefined) append(set, route.target, message.receivedTs, route.key, value, headers);
    else {
      const [, ...others] = headers;
      const renamed = [route.topicHeader, ...others, route.originalTopicHeader];
      append(set, route.target, message.receivedTs, route.key, value, renamed);
    }
  }

  #appendLetter(
    set: RecordSet,
    { topic, headers, value: whole, receivedTs: ts }: StoredMessage,
    to: TopicPartition,
    key: Uint8Array | null,
    reason: DlqReason,
    message: string,
  ): void {
    const { value, cut } = truncateDeadLetter(whole, reason === "too-large" ? DEAD_LETTER_KEPT_BYTES : whole.length);
    const source = topic === "" ? this.#options.gatewayId : topic;
    append(set, to, ts, key, value, deadLetterHeaders({ reason, message, stage: "gateway", source, ts, original: headers, cut }));
  }
}

function append(
  set: RecordSet,
  { topic, partition }: TopicPartition,
  ts: number,
  key: Uint8Array | null,
  value: Uint8Array,
  headers: readonly RecordHeader[],
): void {
  set.partition(topic, partition).append(ts, key, 0, key?.length ?? 0, value, 0, value.length, headers);
}

function gapText(value: Buffer): string {
  const { messages, reason } = JSON.parse(value.toString()) as { messages: number; reason: string };
  return `${messages} messages given up by the gateway: ${reason}`;
}
