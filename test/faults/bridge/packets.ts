/** As much of MQTT's wire as devices and a listener need, made and read by hand: a million messages pass here, beside the brokers on the same cores. */

/** Packet types, the upper half of the first byte. */
export const TYPE = { connack: 2, publish: 3, puback: 4, pubrec: 5, pubrel: 6, pubcomp: 7 } as const;

/** The flags that MQTT prescribes for PUBREL [MQTT-3.6.1-1]. */
const PUBREL_FLAGS = 2;
const DUP = 8;

/** MQTT 3.1.1, a session that stays, no keepalive. */
export function connectPacket(clientId: string): Buffer {
  return packet(1 << 4, Buffer.from([0, 4]), Buffer.from("MQTT"), Buffer.from([4, 0, 0, 0]), text(clientId));
}

export function publishPacket(topic: string, payload: string, qos: 1 | 2, packetId: number): Buffer {
  return packet((TYPE.publish << 4) | (qos << 1), text(topic), Buffer.from([packetId >> 8, packetId & 255]), Buffer.from(payload));
}

/** The same PUBLISH as one sent again on a session that the broker has. */
export function asDuplicate(publish: Buffer): Buffer {
  publish[0] |= DUP;
  return publish;
}

/** The same PUBLISH as one that the broker has never seen. */
export function asFirst(publish: Buffer): Buffer {
  publish[0] &= ~DUP;
  return publish;
}

export function pubrelPacket(packetId: number): Buffer {
  return Buffer.from([(TYPE.pubrel << 4) | PUBREL_FLAGS, 2, packetId >> 8, packetId & 255]);
}

/** Cuts a connection's bytes into packets. */
export class PacketReader {
  readonly #onPacket: (head: number, body: Buffer) => void;
  #rest: Buffer = Buffer.alloc(0);

  /** @param onPacket first byte and what follows the length; the buffer is valid during the call only */
  constructor(onPacket: (head: number, body: Buffer) => void) {
    this.#onPacket = onPacket;
  }

  feed(chunk: Buffer): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    for (;;) {
      const body = lengthAt(bytes, at + 1);
      if (body === undefined || body.start + body.length > bytes.length) break;
      this.#onPacket(bytes[at], bytes.subarray(body.start, body.start + body.length));
      at = body.start + body.length;
    }
    this.#rest = bytes.subarray(at);
  }
}

/** MQTT's variable byte integer, and where what follows it begins; undefined: its last byte is not there yet. */
function lengthAt(bytes: Buffer, at: number): { readonly length: number; readonly start: number } | undefined {
  let length = 0;
  for (let shift = 0; shift <= 21 && at < bytes.length; shift += 7, at++) {
    length |= (bytes[at] & 127) << shift;
    if (bytes[at] < 128) return { length, start: at + 1 };
  }
  return undefined;
}

/** Topic, packet id and payload of a PUBLISH at QoS 1 or 2. */
export function readPublish(body: Buffer, version: 4 | 5): { readonly packetId: number; readonly payload: Buffer } {
  const at = 2 + body.readUInt16BE(0);
  const properties = version === 5 ? lengthAt(body, at + 2) : undefined;
  const start = properties === undefined ? at + 2 : properties.start + properties.length;
  return { packetId: body.readUInt16BE(at), payload: body.subarray(start) };
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes]);
}

function packet(head: number, ...parts: Buffer[]): Buffer {
  let length = parts.reduce((sum, part) => sum + part.length, 0);
  const header = [head];
  do {
    header.push((length & 127) | (length > 127 ? 128 : 0));
    length >>= 7;
  } while (length > 0);
  return Buffer.concat([Buffer.from(header), ...parts]);
}
