/**
 * Dead letters of topics that belong to no device, so to nobody whose limit could be asked: one bucket for all of them. Whatever is over
 * it is acknowledged, counted and gone, as it is a stranger's or a mistake's, of which the first ones tell enough. One number is kept,
 * however many topics come.
 */
import type { AdmissionCount } from "./counts.ts";
import type { BurstSettings } from "./settings.ts";
import { TokenBucket, rateLimit, type RateLimit } from "./token-bucket.ts";

/** A message takes a token for each so many bytes of it, begun ones too: few large messages are a flood as well. */
export const BAD_TOPIC_TOKEN_BYTES = 16 * 1024;
/** In place of a tenant's name, which holds no "|". */
const NO_TENANT = "|none";

export class BadTopicLimit {
  readonly #limit: RateLimit;
  readonly #now: () => number;
  readonly #bucket = new TokenBucket();
  #dropped = 0;

  /** @param now monotonic, ms */
  constructor({ perSecond, burst }: BurstSettings, now: () => number) {
    this.#limit = rateLimit(perSecond, burst);
    this.#now = now;
  }

  /** Whether a message of so many bytes may be written; if not, it is counted here. */
  takes(bytes: number): boolean {
    const nowMs = this.#now();
    if (this.#bucket.waitMs(this.#limit, nowMs) > 0) {
      this.#dropped++;
      return false;
    }
    this.#bucket.take(this.#limit, nowMs, Math.ceil(bytes / BAD_TOPIC_TOKEN_BYTES));
    return true;
  }

  counts(): AdmissionCount[] {
    if (this.#dropped === 0) return [];
    return [{ action: "drop", reason: "bad-topic-rate", tenant: NO_TENANT, count: this.#dropped }];
  }
}
