import { BadTopicLimit } from "../../../bridge/admission/bad-topics.ts";
import { AdmissionGate, type DeviceGate } from "../../../bridge/admission/gate.ts";
import { ADMISSION_DEFAULTS, type AdmissionSettings } from "../../../bridge/admission/settings.ts";
import { Forwarder } from "../../../bridge/forwarder.ts";
import type { Admission, ForwarderBounds, PresenceSink, RefusedReports } from "../../../bridge/forwarder-parts.ts";
import type { GatewayTime } from "../../../bridge/gateway-time.ts";
import { RawHeaders } from "../../../bridge/raw-headers.ts";
import { STATES } from "../../../bridge/presence/formats.ts";
import { RouteCache, type Owns, type RouteTargets } from "../../../bridge/route-cache.ts";
import { PublishPacket } from "../../../bridge/wire/publish-packet.ts";
import { FakeWriter } from "./fake-writer.ts";

export const BOUNDS: ForwarderBounds = {
  windowMessages: 10,
  windowBytes: 1 << 20,
  qos0Messages: 3,
  qos0Bytes: 1 << 20,
  maxValueBytes: 1000,
};

/** Limits on a clock that the test sets. */
export function testAdmission(settings: Partial<AdmissionSettings>, devices?: DeviceGate): Admission & { nowMs: number } {
  const admission = {
    nowMs: 1000,
    gate: new AdmissionGate({ ...ADMISSION_DEFAULTS, ...settings }, devices),
    shed: { topic: "shed", partitions: 4 },
    now: () => admission.nowMs,
  };
  return admission;
}

export interface TestMessage extends Pick<
  PublishPacket,
  "qos" | "dup" | "retain" | "messageId" | "contentType" | "correlation" | "messageExpiryS" | "userProperties"
> {
  readonly topic: string;
  readonly payload: Uint8Array;
}

export function packetOf({ topic, payload, ...fields }: Partial<TestMessage> & Pick<TestMessage, "topic" | "payload">): PublishPacket {
  const topicBuffer = Buffer.from(topic);
  const topicPart = { topicBuffer, topicStart: 0, topicEnd: topicBuffer.length };
  return Object.assign(new PublishPacket(), topicPart, { buffer: Buffer.from(payload), payloadEnd: payload.length }, fields);
}

/** A forwarder between a fake writer and a fake connection. */
export class Fixture {
  readonly writer = new FakeWriter();
  /** `puback 7`, `pubrec 9`, in the order sent. */
  readonly acks: string[] = [];
  readonly redeliveries: Error[] = [];
  roomAgain = 0;
  /** Of the limit of bad topics. */
  nowMs = 1000;
  readonly badTopics = new BadTopicLimit(ADMISSION_DEFAULTS.badTopicRate, () => this.nowMs);
  readonly forwarder: Forwarder;

  constructor(
    bounds: Partial<ForwarderBounds> = {},
    admission?: Admission,
    {
      owns,
      targets,
      presence,
      refusedReports,
      gatewayTime,
    }: {
      owns?: Owns;
      targets?: Partial<RouteTargets>;
      presence?: PresenceSink;
      refusedReports?: RefusedReports;
      gatewayTime?: GatewayTime;
    } = {},
  ) {
    const topics = { raw: "raw", rawPartitions: 4, dlq: "dlq", dlqPartitions: 4, ...targets };
    this.forwarder = new Forwarder({
      writer: this.writer,
      routes: new RouteCache(topics, 100, undefined, presence && STATES, owns),
      headers: new RawHeaders("ingress-1"),
      bounds: { ...BOUNDS, ...bounds },
      admission,
      badTopics: this.badTopics,
      presence,
      refusedReports,
      gatewayTime,
      link: {
        sendAcks: (bytes) => this.acks.push(...readAcks(bytes)),
        redeliver: (error) => {
          this.redeliveries.push(error);
          this.forwarder.connectionLost();
        },
        roomAgain: () => void this.roomAgain++,
      },
    });
  }

  take(messageId: number, changes: Partial<TestMessage> = {}): boolean {
    const payload = Buffer.from(`{"seq":${messageId}}`);
    return this.forwarder.take(packetOf({ topic: "t/demo/d/a/telemetry", payload, qos: 1, messageId, ...changes }));
  }

  /** Lets the scheduled acknowledgements go. */
  async settled(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
  }
}

export function readAcks(bytes: Buffer): string[] {
  const acks: string[] = [];
  for (let at = 0; at < bytes.length; at += 4) {
    const name = { 0x40: "puback", 0x50: "pubrec" }[bytes[at]] ?? `type ${bytes[at]}`;
    acks.push(`${name} ${bytes.readUInt16BE(at + 2)}`);
  }
  return acks;
}
