/** MQTT 5 properties of a PUBLISH. Source: MQTT 5.0, sections 2.2.2 and 3.3.2.3. */
import { malformed } from "./malformed.ts";
import type { PublishPacket, UserProperty } from "./publish-packet.ts";

const PAYLOAD_FORMAT = 0x01;
const MESSAGE_EXPIRY = 0x02;
const CONTENT_TYPE = 0x03;
const RESPONSE_TOPIC = 0x08;
const CORRELATION = 0x09;
const SUBSCRIPTION_ID = 0x0b;
const TOPIC_ALIAS = 0x23;
const USER_PROPERTY = 0x26;

/** User properties kept of one message, and bytes of them: a stranger could send thousands, and each becomes a header. */
const MAX_USER_PROPERTIES = 32;
const MAX_USER_PROPERTY_BYTES = 4096;

/** Fills the packet's properties; says where the payload begins. Throws BridgeError `malformed-packet`. */
export function readProperties(
  bytes: Buffer,
  start: number,
  end: number,
  packet: PublishPacket,
): { readonly alias: number | undefined; readonly payloadStart: number } {
  const cursor = new Cursor(bytes, start, end);
  const payloadStart = cursor.varint() + cursor.at;
  if (payloadStart > end) throw malformed("properties that are longer than their packet");
  cursor.end = payloadStart;
  let alias: number | undefined;
  let userProperties: UserProperty[] | undefined;
  let userBytes = 0;
  while (cursor.at < payloadStart) {
    const id = cursor.byte();
    switch (id) {
      case PAYLOAD_FORMAT:
        cursor.byte();
        break;
      case MESSAGE_EXPIRY:
        packet.messageExpiryS = cursor.uint32();
        break;
      case CONTENT_TYPE:
        packet.contentType = cursor.data().toString();
        break;
      case RESPONSE_TOPIC:
        packet.responseTopic = cursor.data();
        break;
      case CORRELATION:
        packet.correlation = cursor.data();
        break;
      case SUBSCRIPTION_ID:
        cursor.varint();
        break;
      case TOPIC_ALIAS:
        alias = cursor.uint16();
        break;
      case USER_PROPERTY: {
        const name = cursor.data();
        const value = cursor.data();
        userProperties ??= [];
        userBytes += name.length + value.length;
        if (userProperties.length < MAX_USER_PROPERTIES && userBytes <= MAX_USER_PROPERTY_BYTES)
          userProperties.push({ name: name.toString(), value: value.toString() });
        break;
      }
      default:
        throw malformed(`property ${id}, which a PUBLISH does not have`);
    }
  }
  packet.propertyBytes = payloadStart - start;
  if (userProperties !== undefined) packet.userProperties = userProperties;
  return { alias, payloadStart };
}

/** Reads up to `end`, and throws beyond. */
class Cursor {
  readonly #bytes: Buffer;
  at: number;
  end: number;

  constructor(bytes: Buffer, at: number, end: number) {
    this.#bytes = bytes;
    this.at = at;
    this.end = end;
  }

  byte(): number {
    return this.#bytes[this.#advance(1)];
  }

  uint16(): number {
    return this.#bytes.readUInt16BE(this.#advance(2));
  }

  uint32(): number {
    return this.#bytes.readUInt32BE(this.#advance(4));
  }

  /** A variable byte integer. */
  varint(): number {
    let value = 0;
    for (let shift = 0; shift <= 21; shift += 7) {
      const byte = this.byte();
      value += (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw malformed("a number of more than four bytes");
  }

  /** Binary data or a string: two bytes of length before it. */
  data(): Buffer {
    const length = this.uint16();
    const start = this.#advance(length);
    return this.#bytes.subarray(start, start + length);
  }

  #advance(bytes: number): number {
    const start = this.at;
    this.at += bytes;
    if (this.at > this.end) throw malformed("a property that is longer than its packet");
    return start;
  }
}
