/**
 * Last Wills of devices that are gone, until their Will Delay Interval has passed (MQTT 5, 3.1.3.2.2): a device that is back on its
 * session before that was never away.
 *
 *   held --delay over, session ended, gateway stops--> published;   held --device is back--> forgotten
 */
import { DueHeap, type Due } from "../due-heap.ts";
import type { DeviceMessage } from "./message.ts";

/** Past these a will is published at once: it loses its delay, not its message. As many as sessions are remembered. */
const MAX_WILLS = 20_000;
const MAX_BYTES = 16 * 1024 * 1024;
/** Of an entry beside payload and topic: the objects and a place in map and heap. */
const OVERHEAD_BYTES = 300;

interface HeldWill extends Due {
  readonly key: string;
  readonly message: DeviceMessage;
  readonly bytes: number;
}

export class HeldWills {
  readonly #publish: (message: DeviceMessage) => void;
  readonly #byKey = new Map<string, HeldWill>();
  readonly #due = new DueHeap<HeldWill>();
  #bytes = 0;

  constructor(publish: (message: DeviceMessage) => void) {
    this.#publish = publish;
  }

  get size(): number {
    return this.#byKey.size;
  }

  /** @param key of the session; @param dueMs on the caller's clock */
  hold(key: string, message: DeviceMessage, dueMs: number): void {
    const bytes = message.payload.length + message.topic.length + OVERHEAD_BYTES;
    this.publishNow(key);
    if (this.#byKey.size >= MAX_WILLS || this.#bytes + bytes > MAX_BYTES) return this.#publish(message);
    const will: HeldWill = { key, message, bytes, dueTs: dueMs, dueOrder: 0, heapIndex: -1 };
    this.#byKey.set(key, will);
    this.#bytes += bytes;
    this.#due.schedule(will, dueMs);
  }

  /** The device is back on its session. */
  forget(key: string): void {
    this.#take(this.#byKey.get(key));
  }

  /** Its session has ended. */
  publishNow(key: string): void {
    const will = this.#take(this.#byKey.get(key));
    if (will !== undefined) this.#publish(will.message);
  }

  /** All whose time has come, in the order of their times. */
  publishDue(nowMs: number): void {
    for (let will = this.#due.peek(); will !== undefined && will.dueTs <= nowMs; will = this.#due.peek()) this.publishNow(will.key);
  }

  #take(will: HeldWill | undefined): HeldWill | undefined {
    if (will === undefined) return undefined;
    this.#byKey.delete(will.key);
    this.#bytes -= will.bytes;
    this.#due.remove(will);
    return will;
  }
}
