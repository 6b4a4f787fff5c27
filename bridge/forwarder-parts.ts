/** What the forwarder is put together from, and what it counts. */
import type { PlainWriter } from "../eventlog/port.ts";
import type { DlqReason } from "../processors/formats/names.ts";
import type { BadTopicLimit } from "./admission/bad-topics.ts";
import type { AdmissionGate } from "./admission/gate.ts";
import type { AdmissionReason } from "./admission/settings.ts";
import type { GatewayTime } from "./gateway-time.ts";
import type { InFlight } from "./in-flight.ts";
import type { RawHeaders } from "./raw-headers.ts";
import type { Route, RouteCache } from "./route-cache.ts";

/** The connection, as the forwarder sees it. */
export interface ForwarderLink {
  /** PUBACKs and PUBRECs, in order, for the connection that is open now. */
  sendAcks(acks: Buffer): void;
  /** A message could not be written: end the connection, so that the broker delivers it again. */
  redeliver(error: Error): void;
  /** There is room again after take() said no. */
  roomAgain(): void;
}

export interface ForwarderBounds {
  /** Unacknowledged QoS 1 and 2 messages. */
  readonly windowMessages: number;
  /** Bytes of them; one message may go over. */
  readonly windowBytes: number;
  /** QoS 0 messages not yet durable; past it they are shed, as QoS 0 allows, and counted. */
  readonly qos0Messages: number;
  readonly qos0Bytes: number;
  /** A larger payload becomes a dead letter with its first 64 KiB. */
  readonly maxValueBytes: number;
}

/** Limits, and where shed messages go. */
export interface Admission {
  readonly gate: AdmissionGate;
  readonly shed: { readonly topic: string; readonly partitions: number };
  /** Monotonic, ms. */
  readonly now: () => number;
}

/** Who wants to know of devices that show themselves (bridge/presence/). */
export interface PresenceSink {
  /** Live telemetry. */
  seen(route: Route): void;
  state(route: Route, payload: Uint8Array, retained: boolean): void;
}

export type RefusalCode = AdmissionReason | "too-large";

/** Told of each report to a shadow, and each asking for one, that is not let in. What it wants of the message it copies. */
export type RefusedReports = (message: InFlight, route: Route, code: RefusalCode) => void;

export interface ForwarderParts {
  readonly writer: PlainWriter;
  readonly routes: RouteCache;
  readonly headers: RawHeaders;
  readonly link: ForwarderLink;
  readonly bounds: ForwarderBounds;
  readonly badTopics: BadTopicLimit;
  /** Absent: everything on a telemetry topic is let in. */
  readonly admission?: Admission;
  readonly presence?: PresenceSink;
  readonly refusedReports?: RefusedReports;
  /** Absent: a message is received when it comes here. */
  readonly gatewayTime?: GatewayTime;
}

export interface ForwarderCounters {
  /** By QoS. */
  readonly received: [number, number, number];
  /** Raw records durable. */
  written: number;
  /** PUBACKs and PUBRECs sent. */
  acked: number;
  /** QoS 0 messages dropped: buffer full, or their write failed. */
  shed: number;
  /** QoS 2 messages sent again that were known, and not written twice. */
  redelivered: number;
  /** Acknowledged and left to the slot whose device it is. */
  foreign: number;
  /** Durable ones. */
  readonly deadLetters: Map<DlqReason, number>;
  writeFailures: number;
}

export function newCounters(): ForwarderCounters {
  return { received: [0, 0, 0], written: 0, acked: 0, shed: 0, redelivered: 0, foreign: 0, deadLetters: new Map(), writeFailures: 0 };
}
