/** A message on its way down to a device, and what became of it. */
import type { IPublishPacket } from "mqtt-packet";
import type { PublishPacket } from "../wire/publish-packet.ts";

/**
 * - `delivered`: the device has acknowledged it; QoS 0: it is written to its connection.
 * - `away`: nobody here reads its topic, or the connection ended before the acknowledgement.
 * - `full`: more wait for the device, or for all of them, than may. `timeout`: the device did not acknowledge in time.
 * - `expired`: past its message expiry. `too-large`: for the device. `refused`: the device's reason code says so.
 * - `session-lost`: the upstream broker forgot the session between the message and its release (QoS 2).
 */
export const DELIVERIES = ["delivered", "away", "full", "timeout", "expired", "too-large", "refused", "session-lost"] as const;
export type Delivery = (typeof DELIVERIES)[number];

export interface DownMessage {
  readonly topic: string;
  readonly payload: Buffer;
  /** As upstream sent it. */
  readonly qos: 0 | 1 | 2;
  /** MQTT 5, without the expiry. */
  readonly properties: IPublishPacket["properties"];
  readonly messageExpiryS: number | undefined;
  /** Monotonic, ms. */
  readonly cameAtMs: number;
}

/** The payload is a slice of what came. */
export function downMessage(packet: PublishPacket, cameAtMs: number): DownMessage {
  const { buffer, payloadStart, payloadEnd, qos, contentType, responseTopic, correlation, messageExpiryS, userProperties } = packet;
  const given: Record<string, string | string[]> = {};
  for (const { name, value } of userProperties) {
    const before = given[name];
    given[name] = before === undefined ? value : [...(Array.isArray(before) ? before : [before]), value];
  }
  return {
    topic: Buffer.from(packet.topicBuffer.subarray(packet.topicStart, packet.topicEnd)).toString(),
    payload: buffer.subarray(payloadStart, payloadEnd),
    qos,
    properties: {
      ...(contentType === undefined ? {} : { contentType }),
      ...(responseTopic === undefined ? {} : { responseTopic: responseTopic.toString() }),
      ...(correlation === undefined ? {} : { correlationData: correlation }),
      ...(userProperties.length === 0 ? {} : { userProperties: given }),
    },
    messageExpiryS,
    cameAtMs,
  };
}

/** What it takes in memory, roughly. */
export function bytesOf({ payload, topic }: DownMessage): number {
  return payload.length + topic.length + 512;
}
