/** Rejections on their way to the broker. Nothing depends on them, so what there is no room for is counted and gone. */
import { TokenBucket, rateLimit } from "../admission/token-bucket.ts";
import { RecentMap } from "../recent-map.ts";
import type { Rejection } from "./rejection.ts";

/** Later than this after its report nobody waits for one; also after a crash, when the log is read again. ms. */
const MAX_AGE_MS = 30_000;
/** Waiting at once, about 500 bytes each. */
const MAX_WAITING = 1_000;
/** Of one device: one a second, two at once. A device that says nothing but nonsense must not have as much sent. */
const PER_DEVICE = rateLimit(1, 2);
/** Of all devices: one that makes names up, or a fleet with one fault, must not keep the broker busy with what nobody reads. */
const OF_ALL = rateLimit(200, 1_000);
/** Devices whose last ones are remembered, about 200 bytes each; with more, who was silent longest begins anew. */
const MAX_DEVICES = 10_000;

export class RejectionQueue {
  readonly #monotonicMs: () => number;
  readonly #ofAll = new TokenBucket();
  readonly #buckets = new RecentMap<TokenBucket>(MAX_DEVICES);
  readonly #waiting: Rejection[] = [];
  /** Handed out to be sent. */
  told = 0;
  untold = 0;

  constructor(monotonicMs: () => number = () => performance.now()) {
    this.#monotonicMs = monotonicMs;
  }

  get size(): number {
    return this.#waiting.length;
  }

  /** @param now epoch ms */
  add(rejection: Rejection, now: number): void {
    // Read again, mostly, by whoever has the partition next: not counted.
    if (now - rejection.ts > MAX_AGE_MS) return;
    const key = `${rejection.tenant}|${rejection.deviceId}`;
    let bucket = this.#buckets.get(key);
    if (bucket === undefined) this.#buckets.set(key, (bucket = new TokenBucket()));
    const nowMs = this.#monotonicMs();
    const hasTokens = bucket.waitMs(PER_DEVICE, nowMs) <= 0 && this.#ofAll.waitMs(OF_ALL, nowMs) <= 0;
    if (!hasTokens || this.#waiting.length >= MAX_WAITING) this.untold++;
    else {
      bucket.take(PER_DEVICE, nowMs);
      this.#ofAll.take(OF_ALL, nowMs);
      this.#waiting.push(rejection);
    }
  }

  /** The oldest, at most `room`; those that waited too long are gone. */
  take(room: number, now: number): Rejection[] {
    const taken: Rejection[] = [];
    for (let next = this.#waiting[0]; next !== undefined && taken.length < room; next = this.#waiting[0]) {
      this.#waiting.shift();
      if (now - next.ts > MAX_AGE_MS) this.untold++;
      else taken.push(next);
    }
    this.told += taken.length;
    return taken;
  }
}
