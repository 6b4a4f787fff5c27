/**
 * What the gateway is subscribed to upstream, kept in step with what devices here read: one packet under way at a time, of many topics.
 *
 *   add() -> missing --SUBACK--> had;   remove() -> extra --UNSUBACK--> gone;   a session that was lost: all that is wanted is missing
 */
import type { Logger } from "pino";

/** The connection; calls may be answered late, or never when it ends. */
export interface TopicsLink {
  subscribe(topics: readonly string[], done: (error: Error | undefined) => void): void;
  unsubscribe(topics: readonly string[], done: (error: Error | undefined) => void): void;
}

/** Topics of one packet: about 100 bytes each. */
const PACKET_TOPICS = 100;

export class UpstreamTopics {
  readonly #link: TopicsLink;
  readonly #logger: Logger;
  readonly #wanted = new Set<string>();
  readonly #had = new Set<string>();
  readonly #missing = new Set<string>();
  readonly #extra = new Set<string>();
  #isReady = false;
  #isBusy = false;
  /** Of the connection: an answer that belongs to an earlier one says nothing. */
  #connection = 0;
  /** Packets in which the broker refused a topic. */
  refused = 0;

  constructor(link: TopicsLink, logger: Logger) {
    this.#link = link;
    this.#logger = logger;
  }

  /** Subscribed, as far as is known. */
  get size(): number {
    return this.#had.size;
  }

  add(topic: string): void {
    this.#wanted.add(topic);
    this.#extra.delete(topic);
    if (!this.#had.has(topic)) this.#missing.add(topic);
    this.#sync();
  }

  remove(topic: string): void {
    this.#wanted.delete(topic);
    this.#missing.delete(topic);
    if (this.#had.has(topic)) this.#extra.add(topic);
    this.#sync();
  }

  /** A message came that nobody here reads: of a subscription from before a restart, perhaps. */
  unread(topic: string): void {
    if (this.#wanted.has(topic)) return;
    this.#extra.add(topic);
    this.#sync();
  }

  /** @param sessionPresent the broker has what was subscribed on the connection before */
  opened(sessionPresent: boolean): void {
    this.#connection++;
    if (sessionPresent) return;
    this.#had.clear();
    this.#extra.clear();
    for (const topic of this.#wanted) this.#missing.add(topic);
  }

  ready(): void {
    this.#isReady = true;
    this.#isBusy = false;
    this.#sync();
  }

  lost(): void {
    this.#isReady = false;
  }

  #sync(): void {
    if (!this.#isReady || this.#isBusy) return;
    const isAdding = this.#missing.size > 0;
    const topics = first(isAdding ? this.#missing : this.#extra);
    if (topics.length === 0) return;
    this.#isBusy = true;
    const connection = this.#connection;
    const done = (error: Error | undefined): void => {
      if (connection !== this.#connection || !this.#isReady) return;
      this.#isBusy = false;
      if (error !== undefined) {
        // Not asked again in this session: a rule of the broker's does not change by asking.
        this.refused++;
        this.#logger.warn({ err: error, topics: topics.slice(0, 3) }, "the upstream broker refuses a subscription for devices");
      }
      for (const topic of topics)
        if (isAdding) this.#added(topic);
        else this.#extra.delete(topic);
      this.#sync();
    };
    if (isAdding) this.#link.subscribe(topics, done);
    else {
      // From here on it may be gone, answered or not.
      for (const topic of topics) this.#had.delete(topic);
      this.#link.unsubscribe(topics, done);
    }
  }

  #added(topic: string): void {
    this.#missing.delete(topic);
    this.#had.add(topic);
    if (!this.#wanted.has(topic)) this.#extra.add(topic);
  }
}

function first(topics: ReadonlySet<string>): string[] {
  const taken: string[] = [];
  for (const topic of topics) {
    if (taken.length >= PACKET_TOPICS) break;
    taken.push(topic);
  }
  return taken;
}
