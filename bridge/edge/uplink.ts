/**
 * Takes what is stored upstream, in order: one batch at a time, and the next only when the one before is durable there. So after any
 * failure the same messages go again in the same order, and no device's messages overtake each other.
 *
 *   connect --> collect a batch --> send --> forwarded --> collect ...;   any --failure--> back off --> connect
 */
import type { Logger } from "pino";
import { TokenBucket, rateLimit, type RateLimit } from "../admission/token-bucket.ts";
import { pauseMs } from "../../eventlog/back-off.ts";
import type { StoredMessage } from "./message.ts";
import type { UplinkSettings } from "./settings.ts";
import type { Store } from "./store.ts";

/** How far a batch came. With an error, what is behind `taken` may be upstream or not: it goes again. */
export interface Sent {
  /** So many from the first on are durable upstream. */
  readonly taken: number;
  /** Among them, those that upstream will never take. */
  readonly refused: readonly StoredMessage[];
  readonly error?: Error;
}

/** Where messages go: Kafka or an MQTT broker. connect() and send() are called one after the other. */
export interface UplinkTarget {
  /** Resolves when messages can be sent; at once if they still can. */
  connect(): Promise<void>;
  /** In order. Does not reject. */
  send(messages: readonly StoredMessage[]): Promise<Sent>;
  /** Everything stored is upstream. */
  caughtUp?(): void;
  /** A send() has taken longer than it should, and goes on. */
  fellBehind?(): void;
  /** Ends a send() or connect() under way. */
  close(): Promise<void>;
}

export interface UplinkStats {
  /** The last attempt worked. */
  readonly up: boolean;
  /** Attempts that failed. */
  readonly failures: number;
}

/** A batch that upstream neither takes nor refuses is said to be stuck. ms. */
const STUCK_MS = 10_000;
/** How long one look for messages waits. ms. */
const COLLECT_WAIT_MS = 1_000;
/** Bytes ahead of an even rate, in time: what a rate lets through at once. ms. */
const RATE_BURST_MS = 1_000;

export class Uplink {
  readonly #store: Store;
  readonly #target: UplinkTarget;
  readonly #settings: UplinkSettings;
  readonly #logger: Logger;
  readonly #rate: RateLimit | undefined;
  readonly #stuckMs: number;
  readonly #bucket = new TokenBucket();
  readonly #stopped = Promise.withResolvers<void>();
  #isStopped = false;
  #pending: StoredMessage[] = [];
  #epoch = -1;
  #up = false;
  #failures = 0;
  #failuresInRow = 0;

  constructor(store: Store, target: UplinkTarget, settings: UplinkSettings, logger: Logger, stuckMs = STUCK_MS) {
    this.#stuckMs = stuckMs;
    this.#store = store;
    this.#target = target;
    this.#settings = settings;
    this.#logger = logger;
    const { maxBytesPerSecond: perSecond } = settings;
    this.#rate = perSecond === undefined ? undefined : rateLimit(perSecond, Math.max(1, (perSecond * RATE_BURST_MS) / 1000));
  }

  stats(): UplinkStats {
    return { up: this.#up, failures: this.#failures };
  }

  /** Until stop(). Rejects only for what is no failure of the uplink: the store's reading. */
  async run(): Promise<void> {
    while (!this.#isStopped) {
      try {
        await this.#target.connect();
        this.#worked();
      } catch (error) {
        await this.#failed(error as Error);
        continue;
      }
      const batch = await this.#collect();
      if (this.#isStopped) continue;
      if (batch.length === 0) {
        if (this.#store.stats().messages === 0) this.#target.caughtUp?.();
        continue;
      }
      await this.#wait(batch);
      // Dropped meanwhile, to make room or for its age: read again.
      if (this.#epoch !== this.#store.epoch) continue;
      const stuck = setTimeout(() => {
        this.#up = false;
        this.#logger.warn({ messages: batch.length }, "the uplink takes nothing now; messages are kept");
        this.#target.fellBehind?.();
      }, this.#stuckMs);
      const { taken, refused, error } = await this.#target.send(batch);
      clearTimeout(stuck);
      for (const message of refused) this.#store.gaveUp(message);
      if (taken > 0) this.#store.forwarded(batch[taken - 1].offset + 1);
      if (taken === batch.length && error === undefined) this.#pending.splice(0, taken);
      else await this.#failed(error ?? new Error("the uplink took a part of a batch"));
    }
  }

  /** Waits for nothing upstream: what is not acknowledged there goes again after the next start. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#stopped.resolve();
    this.#store.wakeUp();
    await this.#target.close();
  }

  async #collect(): Promise<StoredMessage[]> {
    if (this.#epoch !== this.#store.epoch) {
      this.#pending = [];
      this.#epoch = this.#store.epoch;
    }
    if (this.#pending.length === 0) {
      const next = await this.#store.next(COLLECT_WAIT_MS);
      if (this.#epoch !== this.#store.epoch) return [];
      this.#pending = next;
    }
    const { batchBytes, batchMessages } = this.#settings;
    let bytes = 0;
    let count = 0;
    for (const message of this.#pending) {
      bytes += sizeOf(message);
      if (count > 0 && (bytes > batchBytes || count >= batchMessages)) break;
      count++;
    }
    return this.#pending.slice(0, count);
  }

  async #wait(batch: readonly StoredMessage[]): Promise<void> {
    const rate = this.#rate;
    if (rate === undefined) return;
    await this.#sleep(this.#bucket.waitMs(rate, performance.now()));
    const bytes = batch.reduce((sum, message) => sum + sizeOf(message), 0);
    this.#bucket.take(rate, performance.now(), bytes);
  }

  async #failed(error: Error): Promise<void> {
    if (this.#isStopped) return;
    this.#failures++;
    // once, however long it lasts: the metrics tell the rest
    if (this.#failuresInRow++ === 0)
      this.#logger.warn({ err: error, messages: this.#store.stats().messages }, "the uplink is down; messages are kept");
    else this.#logger.debug({ err: error }, "the uplink is still down");
    this.#up = false;
    this.#store.rewind();
    const { minBackOffMs, maxBackOffMs } = this.#settings;
    await this.#sleep(pauseMs(this.#failuresInRow, minBackOffMs, maxBackOffMs, Math.random));
  }

  #worked(): void {
    if (!this.#up) this.#logger.info({ messages: this.#store.stats().messages }, "the uplink is up");
    this.#up = true;
    this.#failuresInRow = 0;
  }

  async #sleep(ms: number): Promise<void> {
    if (ms <= 0) return;
    let timer: NodeJS.Timeout | undefined;
    await Promise.race([this.#stopped.promise, new Promise((resolve) => (timer = setTimeout(resolve, ms)))]);
    clearTimeout(timer);
  }
}

function sizeOf({ value, topic }: StoredMessage): number {
  return value.length + topic.length;
}
