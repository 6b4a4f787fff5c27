/**
 * One connection of a device: MQTT 3.1.1 or 5; it publishes, and reads its own topics (outgoing.ts). A PUBLISH is acknowledged when the store has it, in the order they
 * came [MQTT-4.6.0-2, -3]; a connection whose window is full, or that finds no room in the store, is not read (TCP back-pressure).
 *
 *   new --CONNECT--> open --refused in 3.1.1--> refusing --pause--> closed
 *                      '--DISCONNECT, error--> ending --> closed;   any --other side gone--> closed
 */
import type { Socket } from "node:net";
import mqttPacket, {
  type IConnectPacket,
  type IPublishPacket,
  type ISubscribePacket,
  type IUnsubscribePacket,
  type Packet,
  type Parser,
} from "mqtt-packet";
import type { DownMessage } from "./down-message.ts";
import type { DeviceMessage } from "./message.ts";
import { Outgoing, type Delivered } from "./outgoing.ts";
import { PacketGuard } from "./packet-guard.ts";
import { FIRST_FAILURE, NO_SUBSCRIPTION, REASON } from "../reason-codes.ts";
import { newMemory, type Identity, type SessionHost, type SessionMemory } from "./session-host.ts";
import type { Outcome } from "./store.ts";

/** MQTT 3.1.1 can only say no by ending the connection: not at once, or a device would come again and again. ms. */
const REFUSED_PAUSE_MS = 2_000;
/** For what was written last; a line that is dead would hold the connection, and its place among them, until TCP gives up. ms. */
const GOODBYE_MS = 2_000;
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
  memory: SessionMemory = newMemory();
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
  /** Undefined where nothing comes down. */
  #outgoing: Outgoing | undefined;
  /** The device's (MQTT 5). */
  #maxPacketBytes = Infinity;

  constructor(socket: Socket, host: SessionHost) {
    this.socket = socket;
    this.#host = host;
    this.#guard = new PacketGuard(host.maxPacketBytes);
    this.#parser = mqttPacket.parser();
    this.#parser.on("packet", (packet) => this.#take(packet));
    this.#parser.on("error", () => this.#violation(REASON.malformed));
    socket.on("data", (chunk: Buffer) => this.#read(chunk));
    socket.on("drain", () => {
      this.#outgoing?.pump();
      this.#readOn();
    });
    socket.on("error", () => undefined); // `close` follows, and says all that matters here
    socket.on("close", () => this.#gone());
  }

  /** Ends a connection that was silent for one and a half times its keep alive [MQTT-3.1.2-22], or did not say who it is in time. */
  checkAlive(now: number, connectTimeoutMs: number): void {
    this.#outgoing?.expire(now);
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

  /** `done` is called once. */
  deliver(message: DownMessage, done: Delivered): void {
    const qos = this.memory.subscriptions.get(message.topic);
    if (this.#outgoing === undefined || qos === undefined) done("away");
    else this.#outgoing.offer(message, qos, done);
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
        this.memory.received.delete(packet.messageId ?? 0);
        return this.#send({ cmd: "pubcomp", messageId: packet.messageId });
      case "pingreq":
        return this.#send({ cmd: "pingresp" });
      case "subscribe":
        return this.#subscribe(packet);
      case "unsubscribe":
        return this.#unsubscribe(packet);
      case "puback":
      case "pubrec":
      case "pubcomp":
        return this.#outgoing === undefined ? this.#violation(REASON.protocolError) : this.#outgoing.answered(packet);
      case "disconnect":
        // With any other reason the client wants its will to be sent [MQTT-3.14.4-3], or has failed.
        if ((packet.reasonCode ?? 0) === 0) this.#will = undefined;
        // A session that ends with its connection cannot be made to last [3.14.2.2.2].
        if (packet.properties?.sessionExpiryInterval !== undefined && this.memory.lifeMs > 0)
          this.memory.lifeMs = lifeMsOf(packet.properties.sessionExpiryInterval);
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
    if (this.#version === 5) this.memory.lifeMs = lifeMsOf(packet.properties?.sessionExpiryInterval ?? 0);
    else this.memory.lifeMs = packet.clean === false ? Infinity : 0;
    this.#connack(sessionPresent, isNameless);
    this.#openOutgoing(packet);
  }

  #connack(sessionPresent: boolean, isNameless: boolean): void {
    if (this.#version !== 5) return this.#send({ cmd: "connack", returnCode: 0, sessionPresent });
    this.#send({
      cmd: "connack",
      reasonCode: 0,
      sessionPresent,
      properties: {
        receiveMaximum: this.#host.window,
        maximumPacketSize: this.#host.maxPacketBytes,
        sharedSubscriptionAvailable: false,
        subscriptionIdentifiersAvailable: false,
        ...(isNameless ? { assignedClientIdentifier: this.clientId } : {}),
      },
    });
  }

  #openOutgoing({ properties }: IConnectPacket): void {
    const { downlink } = this.#host;
    if (downlink === undefined) return;
    this.#maxPacketBytes = properties?.maximumPacketSize ?? Infinity;
    const { deviceWindow, deviceQueue: queue, ackTimeoutMs } = downlink;
    const window = Math.min(deviceWindow, properties?.receiveMaximum ?? deviceWindow);
    this.#outgoing = new Outgoing({ window, queue, ackTimeoutMs }, this.memory, {
      mayWrite: () => this.#state === "open" && this.socket.writable && !this.socket.writableNeedDrain,
      write: (packet) => this.#sendWithin(packet),
    });
    this.#outgoing.resume();
    for (const topic of this.memory.subscriptions.keys()) this.#host.subscribed(this, topic);
  }

  /** Each filter that is one of the device's own topics; a failure for every other, and the connection goes on. */
  #subscribe({ messageId, subscriptions, properties }: ISubscribePacket): void {
    if (properties?.subscriptionIdentifier !== undefined) return this.#violation(REASON.subscriptionIds);
    const host = this.#host;
    const granted = subscriptions.map(({ topic, qos }) => {
      if (!host.maySubscribe(this.identity, topic)) {
        host.counters.deniedSubscriptions++;
        return this.#version === 5 ? REASON.notAuthorized : FIRST_FAILURE;
      }
      this.memory.subscriptions.set(topic, qos);
      return qos;
    });
    this.#send({ cmd: "suback", messageId, granted });
    // Behind the SUBACK: what comes is for a subscription that is there.
    for (const topic of this.memory.subscriptions.keys()) host.subscribed(this, topic);
  }

  #unsubscribe({ messageId, unsubscriptions }: IUnsubscribePacket): void {
    const granted = unsubscriptions.map((topic) => {
      if (!this.memory.subscriptions.delete(topic)) return NO_SUBSCRIPTION;
      this.#host.unsubscribed(this, topic);
      return 0;
    });
    this.#send({ cmd: "unsuback", messageId, granted });
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
    if (qos === 2 && this.memory.received.has(messageId)) this.#settle(pending, "stored");
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
      if (qos === 2) this.memory.received.add(messageId);
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
    this.#sendWill();
    if (this.#state === "open" && this.#version === 5) this.#send({ cmd: "disconnect", reasonCode });
    this.#state = this.#state === "open" ? "ending" : "closed";
    this.#outgoing?.close();
    this.socket.destroySoon();
    setTimeout(() => this.socket.destroy(), GOODBYE_MS).unref();
  }

  #send(packet: Packet): void {
    if (this.socket.writable) this.socket.write(mqttPacket.generate(packet, { protocolVersion: this.#version }));
  }

  /** False: larger than the device takes [MQTT-3.1.2-24]. */
  #sendWithin(packet: Packet): boolean {
    const bytes = mqttPacket.generate(packet, { protocolVersion: this.#version });
    if (bytes.length > this.#maxPacketBytes) return false;
    if (this.socket.writable) this.socket.write(bytes);
    return true;
  }

  /** Once, and before the connection is closed: a line that is dead may take long to say so, and the device may be here again by then. */
  #sendWill(): void {
    const wasOpen = this.#state !== "new" && this.#state !== "closed";
    const will = this.#will;
    this.#will = undefined;
    if (!wasOpen || will === undefined || !this.#host.mayPublish(this.identity, will.topic)) return;
    const delayMs = this.#version === 5 ? (will.properties?.willDelayInterval ?? 0) * 1000 : 0;
    this.#host.leaveWill(this, willOf(will), Math.min(delayMs, this.memory.lifeMs));
  }

  #gone(): void {
    this.#sendWill();
    this.#state = "closed";
    this.#held = undefined;
    this.#host.closed(this);
    this.#outgoing?.close();
  }
}

/** 0xFFFFFFFF: for good. */
function lifeMsOf(expiryIntervalS: number): number {
  return expiryIntervalS === 0xffffffff ? Infinity : expiryIntervalS * 1000;
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
