/** Which connection reads which topic. A device's own topics only (device-port.ts asks), so a topic has one reader: the newest. */
import type { DeviceSession } from "./device-session.ts";
import type { DownMessage } from "./down-message.ts";
import type { Delivered } from "./outgoing.ts";

/** Told of topics that have a reader now, or none any more. */
export interface ReadersUpstream {
  add(topic: string): void;
  remove(topic: string): void;
}

export class Readers {
  readonly #upstream: ReadersUpstream;
  readonly #byTopic = new Map<string, DeviceSession>();

  constructor(upstream: ReadersUpstream) {
    this.#upstream = upstream;
  }

  add(session: DeviceSession, topic: string): void {
    const isNew = !this.#byTopic.has(topic);
    this.#byTopic.set(topic, session);
    if (isNew) this.#upstream.add(topic);
  }

  /** Nothing happens when another connection reads it by now. */
  remove(session: DeviceSession, topic: string): void {
    if (this.#byTopic.get(topic) !== session) return;
    this.#byTopic.delete(topic);
    this.#upstream.remove(topic);
  }

  /** False: nobody reads it. */
  deliver(message: DownMessage, done: Delivered): boolean {
    const session = this.#byTopic.get(message.topic);
    session?.deliver(message, done);
    return session !== undefined;
  }
}
