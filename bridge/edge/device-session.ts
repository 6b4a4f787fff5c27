/**
 * One connection of a device: MQTT 3.1.1 or 5, publishing only. A PUBLISH is acknowledged when the store has it, in the order they
 * came [MQTT-4.6.0-2, -3]; a connection whose window is full, or that finds no room in the store, is not read (TCP back-pressure).
 *
 *   new --CONNECT--> open --refused in 3.1.1--> refusing --pause--> closed
 *                      '--DISCONNECT, error--> ending --> closed;   any --other side gone--> closed
 */
import type { Socket } from "node:net";
import mqttPacket, { type IConnectPacket, type IPublishPacket, type Packet, type Parser } from "mqtt-packet";
import type { DeviceMessage } from "./message.ts";
import { PacketGuard } from "./packet-guard.ts";
import type { Outcome } from "./store.ts";

/** What the session needs of the gateway. */
export interface SessionHost {
  readonly maxPacketBytes: number;
  readonly window: number;
  readonly hasRoom: boolean;
  whenRoom(listener: () => void): void;
  offer(message: DeviceMessage, done: (outcome: Outcome) => void): void;
  /** Undefined: not let in. */
  login(connect: IConnectPacket, socket: Socket): Identity | undefined;
  mayPublish(identity: Identity, topic: string): boolean;
  /** Ends the connection that has the same name now, and says whether there was a session of it. */
  opened(session: DeviceSession, clean: boolean): boolean;
  closed(session: DeviceSession): void;
  readonly counters: SessionCounters;
}

/** `{tenant}/d/{deviceId}`, or undefined: anybody, where that is allowed. */
export interface Identity {
  readonly name: string | undefined;
}

export interface SessionCounters {
  /** By QoS. */
  readonly received: [number, number, number];
  acked: number;
  /** QoS 0 messages that the store did not take. */
  shed: number;
  /** Publishing on a topic that is not the device's. */
  denied: number;
  /** Connections refused: wrong password, no room. */
  refusedConnections: number;
  /** Packets that are none, too large, or against the protocol. */
  protocolErrors: number;
}

/** MQTT 5 reason codes; 2.4. */
const REASON = {
  notAuthorized: 0x87,
  takenOver: 0x8e,
  protocolError: 0x82,
  malformed: 0x81,
  receiveMaximum: 0x93,
  topicAlias: 0x94,
  topicInvalid: 0x90,
  tooLarge: 0x95,
  quotaExceeded: 0x97,
  keepAlive: 0x8d,
  shuttingDown: 0x8b,
} as const;
/** MQTT 3.1.1 can only say no by ending the connection: not at once, or a device would come again and again. ms. */
const REFUSED_PAUSE_MS = 2_000;
/** A client without a name of its own gets one. */
const MAX_CLIENT_ID_LENGTH = 1024;

/** A PUBLISH that is not answered yet. */
interface Pending {
  readonly messageId: number;
  readonly qos: 1 | 2;
  /** Undefined while it is being written. */
  outcome: Outcome | "not-authorized" | undefined;
}

export class DeviceSession {
  readonly socket: Socket;
  clientId = "";
  identity: Identity = { name: undefined };
  /** QoS 2 messages stored and not released, by packet id: the client's, over its connections. */
  received = new Set<number>();
  readonly #host: SessionHost;
  readonly #guard: PacketGuard;
  readonly #parser: Parser;
  #state: "new" | "open" | "refusing" | "ending" | "closed" = "new";
  #version: 3 | 4 | 5 = 4;
  #will: IConnectPacket["will"];
  #keepAliveMs = 0;
  #heardAt = performance.now();
  readonly #pending: Pending[] = [];
  #held: Buffer | undefined;
  #waitsForRoom = false;
  #flushing = false;

  constructor(socket: Socket, host: SessionHost) {
    this.socket = socket;
    this.#host = host;
    this.#guard = new PacketGuard(host.maxPacketBytes);
    this.#parser = mqttPacket.parser();
    this.#parser.on("packet", (packet) => this.#take(packet));
    this.#parser.on("error", () => this.#violation(REASON.malformed));
    socket.on("data", (chunk: Buffer) => this.#read(chunk));
    socket.on("drain", () => this.#readOn());
    socket.on("error", () => undefined); // `close` follows, and says all that matters here
    socket.on("close", () => this.#gone());
  }

  /** Ends a connection that was silent for one and a half times its keep alive [MQTT-3.1.2-22], or did not say who it is in time. */
  checkAlive(now: number, connectTimeoutMs: number): void {
    if (this.socket.isPaused()) return; // its silence is ours
    const silentMs = now - this.#heardAt;
    if (this.#state === "new" && silentMs > connectTimeoutMs) this.socket.destroy();
    else if (this.#keepAliveMs > 0 && silentMs > this.#keepAliveMs * 1.5) this.#end(REASON.keepAlive);
  }

  takenOver(): void {
    this.#end(REASON.takenOver);
  }

  shutDown(): void {
    this.#will = undefined;
    this.#end(REASON.shuttingDown);
  }

  #read(chunk: Buffer): void {
    this.#heardAt = performance.now();
    if (!this.#isListening()) return;
    if (this.#mayRead()) {
      if (this.#guard.accepts(chunk)) this.#parser.parse(chunk);
      else this.#violation(REASON.tooLarge);
    } else this.#held = chunk;
    if (this.#isListening() && !this.#mayRead()) this.socket.pause();
  }

  #isListening(): boolean {
    return this.#state === "new" || this.#state === "open";
  }

  /**
   * False: flushing calls #readOn, or the store when it has room, or the socket when it is drained: a client that takes no
   * acknowledgements must not make us keep them.
   */
  #mayRead(): boolean {
    if (!this.#host.hasRoom && !this.#waitsForRoom) {
      this.#waitsForRoom = true;
      this.#host.whenRoom(() => {
        this.#waitsForRoom = false;
        this.#readOn();
      });
    }
    return this.#host.hasRoom && this.#pending.length < this.#host.window && !this.socket.writableNeedDrain;
  }

  #readOn(): void {
    if (!this.#isListening() || !this.#mayRead()) return;
    const held = this.#held;
    this.#held = undefined;
    if (held !== undefined) this.#read(held);
    if (!this.#mayRead() || !this.socket.isPaused()) return;
    this.#heardAt = performance.now();
    this.socket.resume();
  }

  #take(packet: Packet): void {
    if (!this.#isListening()) return;
    if (packet.cmd === "connect") return this.#state === "new" ? this.#connect(packet) : this.#violation(REASON.protocolError);
    if (this.#state === "new") return this.#violation(REASON.protocolError);
    switch (packet.cmd) {
      case "publish":
        return this.#publish(packet);
      case "pubrel":
        this.received.delete(packet.messageId ?? 0);
        return this.#send({ cmd: "pubcomp", messageId: packet.messageId });
      case "pingreq":
        return this.#send({ cmd: "pingresp" });
      case "subscribe": {
        // Nothing comes down through a gateway: a subscription is answered with a failure, and the connection goes on.
        const code = this.#version === 5 ? REASON.notAuthorized : 0x80;
        return this.#send({ cmd: "suback", messageId: packet.messageId, granted: packet.subscriptions.map(() => code) });
      }
      case "unsubscribe":
        return this.#send({ cmd: "unsuback", messageId: packet.messageId, granted: packet.unsubscriptions.map(() => 0) });
      case "disconnect":
        // 0x04: the client wants its will to be sent
        if (packet.reasonCode !== 4) this.#will = undefined;
        this.#state = "ending";
        this.socket.end();
        return;
      default:
        return this.#violation(REASON.protocolError);
    }
  }

  #connect(packet: IConnectPacket): void {
    const host = this.#host;
    this.#version = packet.protocolVersion ?? 4;
    const isNameless = packet.clientId === "" && (this.#version === 5 || packet.clean === true);
    const identity = host.login(packet, this.socket);
    const isNamed = isNameless || (packet.clientId !== "" && packet.clientId.length <= MAX_CLIENT_ID_LENGTH);
    if (identity === undefined || !isNamed) {
      host.counters.refusedConnections++;
      if (this.#version === 5) this.#send({ cmd: "connack", reasonCode: isNamed ? 0x86 : 0x85, sessionPresent: false });
      else this.#send({ cmd: "connack", returnCode: isNamed ? 5 : 2, sessionPresent: false });
      this.#state = "closed";
      this.socket.end();
      return;
    }
    this.identity = identity;
    this.clientId = isNameless ? `gateway-${crypto.randomUUID()}` : packet.clientId;
    this.#will = packet.will;
    this.#keepAliveMs = (packet.keepalive ?? 0) * 1000;
    this.#state = "open";
    const sessionPresent = host.opened(this, packet.clean !== false);
    if (this.#version !== 5) return this.#send({ cmd: "connack", returnCode: 0, sessionPresent });
    this.#send({
      cmd: "connack",
      reasonCode: 0,
      sessionPresent,
      properties: {
        receiveMaximum: host.window,
        maximumPacketSize: host.maxPacketBytes,
        sharedSubscriptionAvailable: false,
        ...(isNameless ? { assignedClientIdentifier: this.clientId } : {}),
      },
    });
  }

  #publish(packet: IPublishPacket): void {
    const { counters } = this.#host;
    const { qos, topic } = packet;
    const messageId = packet.messageId ?? 0;
    if (packet.properties?.topicAlias !== undefined) return this.#violation(REASON.topicAlias);
    if (topic === "" || /[+#\0]/.test(topic)) return this.#violation(REASON.topicInvalid);
    if (qos > 0 && this.#version === 5 && this.#pending.length >= this.#host.window) return this.#violation(REASON.receiveMaximum);
    counters.received[qos]++;
    const isAllowed = this.#host.mayPublish(this.identity, topic);
    if (!isAllowed) counters.denied++;
    if (qos === 0) {
      if (isAllowed)
        this.#host.offer(messageOf(packet), (outcome) => {
          if (outcome === "refused") counters.shed++;
        });
      return;
    }
    const pending: Pending = { messageId, qos, outcome: undefined };
    this.#pending.push(pending);
    // Sent again between PUBLISH and PUBREL: it is stored already, only its PUBREC was lost. After a restart of the gateway it is
    // stored twice, and dedupe drops it.
    if (qos === 2 && this.received.has(messageId)) this.#settle(pending, "stored");
    else if (!isAllowed) this.#settle(pending, "not-authorized");
    else this.#host.offer(messageOf(packet), (outcome) => this.#settle(pending, outcome));
  }

  #settle(pending: Pending, outcome: NonNullable<Pending["outcome"]>): void {
    pending.outcome = outcome;
    if (this.#flushing) return;
    this.#flushing = true;
    process.nextTick(() => this.#flush());
  }

  /** Answers the run of settled ones at the head, whole packets in one write. */
  #flush(): void {
    this.#flushing = false;
    let answered = 0;
    this.socket.cork();
    for (const pending of this.#pending) {
      if (pending.outcome === undefined || this.#state !== "open") break;
      answered++;
      this.#answer(pending, pending.outcome);
    }
    this.#pending.splice(0, answered);
    this.socket.uncork();
    if (answered > 0) this.#readOn();
  }

  #answer({ messageId, qos }: Pending, outcome: NonNullable<Pending["outcome"]>): void {
    const isTaken = outcome === "stored" || outcome === "dropped";
    if (!isTaken && this.#version !== 5) return this.#refuse();
    const reasonCode = isTaken ? 0 : outcome === "refused" ? REASON.quotaExceeded : REASON.notAuthorized;
    if (isTaken) {
      this.#host.counters.acked++;
      if (qos === 2) this.received.add(messageId);
    }
    this.#send({ cmd: qos === 2 ? "pubrec" : "puback", messageId, ...(this.#version === 5 ? { reasonCode } : {}) });
  }

  #refuse(): void {
    this.#state = "refusing";
    this.socket.pause();
    setTimeout(() => this.socket.destroy(), REFUSED_PAUSE_MS).unref();
  }

  /** The protocol is broken: MQTT 5 says why, and the connection ends either way. */
  #violation(reasonCode: number): void {
    if (!this.#isListening()) return;
    this.#host.counters.protocolErrors++;
    this.#end(reasonCode);
  }

  #end(reasonCode: number): void {
    if (this.#state === "open" && this.#version === 5) this.#send({ cmd: "disconnect", reasonCode });
    this.#state = this.#state === "open" ? "ending" : "closed";
    this.socket.destroySoon();
  }

  #send(packet: Packet): void {
    if (this.socket.writable) this.socket.write(mqttPacket.generate(packet, { protocolVersion: this.#version }));
  }

  #gone(): void {
    const wasOpen = this.#state !== "new" && this.#state !== "closed";
    this.#state = "closed";
    this.#held = undefined;
    const will = this.#will;
    if (wasOpen && will !== undefined && this.#host.mayPublish(this.identity, will.topic)) this.#host.offer(willOf(will), () => undefined);
    this.#host.closed(this);
  }
}

function messageOf({ topic, payload, qos, dup, retain, properties }: IPublishPacket): DeviceMessage {
  return {
    topic,
    payload: typeof payload === "string" ? Buffer.from(payload) : payload,
    qos,
    dup,
    retain,
    contentType: properties?.contentType,
    correlation: properties?.correlationData,
  };
}

function willOf({ topic, payload, qos, retain, properties }: NonNullable<IConnectPacket["will"]>): DeviceMessage {
  return messageOf({ cmd: "publish", topic, payload, qos: qos ?? 0, dup: false, retain: retain ?? false, properties });
}
