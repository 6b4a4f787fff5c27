/**
 * Reads one connection's stream before MQTT.js does: messages go to the sink in place, everything else on to MQTT.js. Against mqtt 5.16.0,
 * which calls `stream.pipe(writable)` once for each connection (build/lib/client.js, connect()). Its own way, a parser, a packet object, an
 * event and a callback for each message, is more than half of what a message costs.
 */
import type { Duplex, Writable } from "node:stream";
import { PacketReader } from "./packet-reader.ts";
import type { PublishPacket } from "./publish-packet.ts";

export interface TapSink {
  connack(accepted: boolean, sessionPresent: boolean): void;
  /** See PacketSink. */
  publish(packet: PublishPacket): boolean;
  pubrel(messageId: number): void;
  /** publish() had no room; nothing is read before resume(). */
  held(): void;
  /** The stream is destroyed after this. */
  malformed(error: Error): void;
}

/** What is taken off the socket while there is no room: a connection that ended is noticed behind it, and not before. */
const MAX_READ_AHEAD_BYTES = 256 * 1024;

/** PUBCOMP, remaining length 2; without a reason code it means success. */
const PUBCOMP = [0x70, 2];

export class ConnectionTap {
  readonly #stream: Duplex;
  readonly #sink: TapSink;
  readonly #reader: PacketReader;
  /** Packet ids of PUBRELs that are not answered yet. */
  #released: number[] = [];
  #isHeld = false;

  constructor(stream: Duplex, sink: TapSink, protocolVersion: number, maxTopicAlias: number) {
    this.#stream = stream;
    this.#sink = sink;
    let mqttJs: Writable | undefined;
    this.#reader = new PacketReader(
      {
        connack: (accepted, sessionPresent) => sink.connack(accepted, sessionPresent),
        publish: (packet) => sink.publish(packet),
        pubrel: (messageId) => {
          sink.pubrel(messageId);
          this.#released.push(messageId);
        },
        other: (packet) => mqttJs?.write(packet),
      },
      protocolVersion,
      maxTopicAlias,
    );
    stream.pipe = <T extends NodeJS.WritableStream>(destination: T): T => {
      mqttJs = destination as unknown as Writable;
      stream.on("data", (chunk: Buffer) => this.#run(() => this.#reader.push(chunk)));
      stream.once("end", () => mqttJs?.end());
      return destination;
    };
  }

  /** There is room again. */
  resume(): void {
    this.#run(() => this.#reader.resume());
    if (!this.#isHeld) this.#stream.resume();
  }

  /** Nothing of this connection is read any more. */
  stop(): void {
    this.#reader.stop();
    this.#stream.resume();
  }

  #run(read: () => boolean): void {
    try {
      this.#isHeld = !read();
    } catch (error) {
      this.#reader.stop();
      this.#sink.malformed(error instanceof Error ? error : new Error(String(error)));
      this.#stream.destroy();
      return;
    }
    if (this.#released.length > 0) this.#sendPubcomps();
    if (!this.#isHeld) return;
    if (this.#reader.waitingBytes > MAX_READ_AHEAD_BYTES) this.#stream.pause();
    this.#sink.held();
  }

  #sendPubcomps(): void {
    const bytes = Buffer.allocUnsafe(this.#released.length * 4);
    for (const [index, messageId] of this.#released.entries()) {
      bytes.set(PUBCOMP, index * 4);
      bytes.writeUInt16BE(messageId, index * 4 + 2);
    }
    this.#released = [];
    if (this.#stream.writable) this.#stream.write(bytes);
  }
}
