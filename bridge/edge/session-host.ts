/** What a connection of a device needs of the gateway, and what is kept of it while it is away. */
import type { Socket } from "node:net";
import type { IConnectPacket } from "mqtt-packet";
import type { DeviceSession } from "./device-session.ts";
import type { DeviceMessage } from "./message.ts";
import type { DownlinkSettings } from "./settings.ts";
import type { Outcome } from "./store.ts";

export interface SessionHost {
  readonly maxPacketBytes: number;
  readonly window: number;
  readonly hasRoom: boolean;
  /** Undefined: nothing comes down, and every subscription is refused. */
  readonly downlink: Pick<DownlinkSettings, "deviceWindow" | "deviceQueue" | "ackTimeoutMs"> | undefined;
  whenRoom(listener: () => void): void;
  offer(message: DeviceMessage, done: (outcome: Outcome) => void): void;
  /** The session's Last Will, to be published when it has been away for so long, or its session ends; 0: now. */
  leaveWill(session: DeviceSession, will: DeviceMessage, delayMs: number): void;
  /** Undefined: not let in. */
  login(connect: IConnectPacket, socket: Socket): Identity | undefined;
  mayPublish(identity: Identity, topic: string): boolean;
  maySubscribe(identity: Identity, filter: string): boolean;
  /** The session reads a topic from now on, or not any more. */
  subscribed(session: DeviceSession, topic: string): void;
  unsubscribed(session: DeviceSession, topic: string): void;
  /**
   * Ends the connection that has the same name now, and says whether there was a session of it, whose memory it has then.
   * @param clean what was before is forgotten
   */
  opened(session: DeviceSession, clean: boolean): boolean;
  closed(session: DeviceSession): void;
  readonly counters: SessionCounters;
}

/** `{tenant}/d/{deviceId}`, or undefined: anybody, where that is allowed. */
export interface Identity {
  readonly name: string | undefined;
}

/** The client's, over its connections: about 200 bytes without a message under way. */
export interface SessionMemory {
  /** How long it outlives its connection (MQTT 5: session expiry interval; MQTT 3.1.1: for good, or not at all). ms. */
  lifeMs: number;
  /** On the port's clock; Infinity while its device is connected. */
  endsAtMs: number;
  /** QoS 2 messages of the device stored and not released, by packet id. */
  readonly received: Set<number>;
  /** QoS by topic. */
  readonly subscriptions: Map<string, 0 | 1 | 2>;
  /** QoS 2 messages to the device that it has, and that are not complete, by packet id. */
  readonly releasing: Set<number>;
  /** Given last to a message to the device: an id that was given up must not be another message's soon. */
  lastMessageId: number;
}

export function newMemory(): SessionMemory {
  const endsAtMs = Infinity;
  return { lifeMs: 0, endsAtMs, received: new Set(), subscriptions: new Map(), releasing: new Set(), lastMessageId: 0 };
}

export interface SessionCounters {
  /** By QoS. */
  readonly received: [number, number, number];
  acked: number;
  /** QoS 0 messages that the store did not take. */
  shed: number;
  /** Publishing on a topic that is not the device's. */
  denied: number;
  /** Subscribing to one, where subscriptions are taken at all. */
  deniedSubscriptions: number;
  /** Connections refused: wrong password, no room. */
  refusedConnections: number;
  /** Packets that are none, too large, or against the protocol. */
  protocolErrors: number;
}
