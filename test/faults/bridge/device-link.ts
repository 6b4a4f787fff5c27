/**
 * A connection of one or more devices that lose nothing: what the broker has not acknowledged is sent again after each reconnect, in
 * order and before anything new. A session that the broker has forgotten starts anew with all of it.
 */
import { connect, type Socket } from "node:net";
import { PacketReader, TYPE, asDuplicate, asFirst, connectPacket, publishPacket, pubrelPacket } from "./packets.ts";

export interface DeviceLinkOptions {
  readonly port: number;
  readonly clientId: string;
  readonly qos: 1 | 2;
  /** Messages without an acknowledgement. */
  readonly window: number;
  /** Pause before a reconnect, ms; as much again at random. */
  readonly reconnectMs: number;
  /** The next message; undefined: none for now. */
  readonly next: () => { readonly topic: string; readonly payload: string } | undefined;
  /** The broker has one for good: PUBACK or PUBCOMP. */
  readonly settled: () => void;
}

interface Unsettled {
  readonly publish: Buffer;
  /** PUBREC is in: PUBREL, and nothing else, is what goes again. */
  received: boolean;
}

export class DeviceLink {
  readonly #options: DeviceLinkOptions;
  /** By packet id, in the order sent. */
  readonly #unsettled = new Map<number, Unsettled>();
  #lastId = 0;
  #socket: Socket | undefined;
  #connected = false;
  #closed = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: DeviceLinkOptions) {
    this.#options = options;
    this.#connect();
  }

  get connected(): boolean {
    return this.#connected;
  }

  /** Sends what there is to send and room for. */
  pump(): void {
    const { window, next, qos } = this.#options;
    if (!this.#connected) return;
    const packets: Buffer[] = [];
    while (this.#unsettled.size < window) {
      const message = next();
      if (message === undefined) break;
      const id = this.#freeId();
      const publish = publishPacket(message.topic, message.payload, qos, id);
      this.#unsettled.set(id, { publish, received: false });
      packets.push(publish);
    }
    if (packets.length > 0) this.#socket?.write(Buffer.concat(packets));
  }

  /** As if its network were gone for a moment. */
  reset(): void {
    this.#socket?.resetAndDestroy();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#socket?.destroy();
  }

  #connect(): void {
    const { port, clientId, reconnectMs } = this.#options;
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    this.#socket = socket;
    const packets = new PacketReader((head, body) => this.#take(head >> 4, body));
    socket.once("connect", () => socket.write(connectPacket(clientId)));
    socket.on("data", (chunk) => packets.feed(chunk));
    socket.on("error", () => undefined); // closes behind it
    socket.once("close", () => {
      this.#connected = false;
      if (!this.#closed) this.#timer = setTimeout(() => this.#connect(), reconnectMs * (1 + Math.random()));
    });
  }

  #take(type: number, body: Buffer): void {
    if (type === TYPE.connack) return this.#opened(body[0] === 1);
    const id = body.readUInt16BE(0);
    const message = this.#unsettled.get(id);
    if (type === TYPE.pubrec) {
      if (message !== undefined) message.received = true;
      this.#socket?.write(pubrelPacket(id));
    } else if (message !== undefined && (type === TYPE.puback || type === TYPE.pubcomp)) {
      this.#unsettled.delete(id);
      this.#options.settled();
    }
  }

  #opened(sessionPresent: boolean): void {
    this.#connected = true;
    const again: Buffer[] = [];
    for (const [id, message] of this.#unsettled) {
      if (!sessionPresent) message.received = false;
      if (message.received) again.push(pubrelPacket(id));
      else again.push(sessionPresent ? asDuplicate(message.publish) : asFirst(message.publish));
    }
    if (again.length > 0) this.#socket?.write(Buffer.concat(again));
    this.pump();
  }

  #freeId(): number {
    do this.#lastId = (this.#lastId % 65_535) + 1;
    while (this.#unsettled.has(this.#lastId));
    return this.#lastId;
  }
}
