/** One message between its PUBLISH and its being durable and acknowledged. Pooled: `done` is made once per object, not per message. */
import type { DlqReason } from "../processors/formats/names.ts";
import type { AdmissionReason } from "./admission/settings.ts";
import type { Qos2Message } from "./qos2-session.ts";
import { NO_ROUTE, type Route } from "./route-cache.ts";
import type { PublishPacket, UserProperty } from "./wire/publish-packet.ts";

export class InFlight {
  messageId = 0;
  qos: 0 | 1 | 2 = 0;
  /** What it counts against the window, in bytes. */
  bytes = 0;
  /** The event log has it (or its dead letter): it may be acknowledged. */
  durable = false;
  /** Stands in the AckQueue: its connection is still the one it came on. */
  queued = false;
  /** A write is out; `done` will be called. */
  writing = false;
  /** Waits for a token of its tenant or device; nothing is written yet. */
  held = false;
  /** In the pool. */
  free = false;
  /** Kept until durable, for the one case that needs them: the log says the record is too large for it. */
  payload: Uint8Array | undefined;
  route: Route = NO_ROUTE;
  retain = false;
  dup = false;
  contentType: string | undefined;
  /** MQTT 5 correlation data. */
  correlation: Buffer | undefined;
  messageExpiryS: number | undefined;
  userProperties: readonly UserProperty[] = [];
  receivedTs = 0;
  /** Why it goes to the dead-letter topic, if it does. */
  deadLetter: DlqReason | undefined;
  /** Why it goes to the shed topic, if it does. */
  shed: AdmissionReason | undefined;
  qos2: Qos2Message | undefined;
  /** The PlainWriter's callback for this message. */
  readonly done: (error: Error | undefined) => void;

  constructor(settle: (message: InFlight, error: Error | undefined) => void) {
    this.done = (error) => settle(this, error);
  }

  /** Takes over what the packet says: the packet is filled anew for the next message. */
  begin(inbound: PublishPacket, route: Route, payload: Uint8Array, bytes: number, receivedTs: number): void {
    this.messageId = inbound.messageId;
    this.qos = inbound.qos;
    this.bytes = bytes;
    this.payload = payload;
    this.route = route;
    this.retain = inbound.retain;
    this.dup = inbound.dup;
    this.contentType = inbound.contentType;
    this.correlation = inbound.correlation;
    this.messageExpiryS = inbound.messageExpiryS;
    this.userProperties = inbound.userProperties;
    this.receivedTs = receivedTs;
    this.deadLetter = undefined;
    this.shed = undefined;
  }
}

/** Reuses InFlight objects; never holds more than were in flight at once, which the window bounds. */
export class InFlightPool {
  readonly #settle: (message: InFlight, error: Error | undefined) => void;
  readonly #free: InFlight[] = [];

  constructor(settle: (message: InFlight, error: Error | undefined) => void) {
    this.#settle = settle;
  }

  take(): InFlight {
    const message = this.#free.pop() ?? new InFlight(this.#settle);
    message.free = false;
    return message;
  }

  /** Back into the pool, once neither the queue nor the writer knows it any more. Both ends call this, in either order. */
  giveBackIfUnused(message: InFlight): void {
    if (message.queued || message.writing || message.held || message.free) return;
    message.free = true;
    message.durable = false;
    message.payload = undefined;
    message.route = NO_ROUTE;
    message.qos2 = undefined;
    this.#free.push(message);
  }
}
