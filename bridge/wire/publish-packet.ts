/** An MQTT PUBLISH read in place: offsets into the bytes that came. One object is filled anew for each packet. */

export interface UserProperty {
  readonly name: string;
  readonly value: string;
}

const NO_PROPERTIES: readonly UserProperty[] = [];
const NOTHING = Buffer.alloc(0);

export class PublishPacket {
  /** Where the topic is: the packet's bytes, or a topic remembered for its alias. */
  topicBuffer: Uint8Array = NOTHING;
  topicStart = 0;
  topicEnd = 0;
  buffer: Buffer = NOTHING;
  payloadStart = 0;
  payloadEnd = 0;
  qos: 0 | 1 | 2 = 0;
  dup = false;
  retain = false;
  /** 0 with QoS 0. */
  messageId = 0;
  // MQTT 5
  contentType: string | undefined;
  responseTopic: Buffer | undefined;
  correlation: Buffer | undefined;
  /** Seconds that the broker says are left. */
  messageExpiryS: number | undefined;
  userProperties = NO_PROPERTIES;
  /** What they take on the wire, all of them. */
  propertyBytes = 0;

  clearProperties(): void {
    this.contentType = undefined;
    this.responseTopic = undefined;
    this.correlation = undefined;
    this.messageExpiryS = undefined;
    this.userProperties = NO_PROPERTIES;
    this.propertyBytes = 0;
  }
}
