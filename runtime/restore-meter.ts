/**
 * How far the restore of one store has come, and how fast it goes. What is left is told in offsets of the changelog, because nobody
 * knows how many records lie there: compaction leaves holes, and transaction markers take offsets too. So it is the most that can
 * still come, and the time left is reckoned from offsets as well.
 */
import type { RestoreProgress } from "./queries.ts";

/** Long enough to even out fetches and flushes, short enough to show within seconds that nothing comes any more. */
const RATE_WINDOW_MS = 10_000;
/** Bounds the samples: twenty a window. */
const SAMPLE_EVERY_MS = 500;

interface Sample {
  readonly at: number;
  readonly position: number;
  readonly records: number;
}

export class RestoreMeter {
  /** Stands here when the store is restored: the changelog's end when the restore began, beyond its markers. */
  readonly target: number;
  #position: number;
  #records = 0;
  #bytes = 0;
  #advancedAt: number;
  /** Oldest first; the first is the last one that is older than the window. */
  readonly #samples: Sample[];

  /** `now` is performance.now(), here and below. */
  constructor(position: number, target: number, now: number) {
    this.target = target;
    this.#position = position;
    this.#advancedAt = now;
    this.#samples = [{ at: now, position, records: 0 }];
  }

  /** Next changelog offset. */
  get position(): number {
    return this.#position;
  }

  get records(): number {
    return this.#records;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get done(): boolean {
    return this.#position >= this.target;
  }

  /** A batch was applied: so many records with so many bytes of keys and values, and where it ends. */
  advance(nextOffset: number, records: number, bytes: number, now: number): void {
    this.#position = nextOffset;
    this.#records += records;
    this.#bytes += bytes;
    this.#advancedAt = now;
    if (now - this.#samples[this.#samples.length - 1].at < SAMPLE_EVERY_MS) return;
    this.#samples.push({ at: now, position: nextOffset, records: this.#records });
    while (this.#samples.length > 1 && this.#samples[1].at <= now - RATE_WINDOW_MS) this.#samples.shift();
  }

  /** Rates are those of the last ten seconds; 0 when nothing came in all of them. */
  progress(store: string, now: number): RestoreProgress {
    const since = this.#samples.findLast((sample) => sample.at <= now - RATE_WINDOW_MS) ?? this.#samples[0];
    const seconds = (now - since.at) / 1000;
    const perSecond = (count: number): number => (seconds <= 0 || now - this.#advancedAt >= RATE_WINDOW_MS ? 0 : count / seconds);
    const remaining = Math.max(0, this.target - this.#position);
    const offsetsPerSecond = perSecond(this.#position - since.position);
    return {
      store,
      restored: this.#records,
      restoredBytes: this.#bytes,
      remaining,
      recordsPerSecond: Math.round(perSecond(this.#records - since.records)),
      offsetsPerSecond: Math.round(offsetsPerSecond),
      timeLeftMs: timeLeftMs(remaining, offsetsPerSecond),
    };
  }
}

/** Of several stores together, which share one reader: what is left of all by the rate of all. */
export function totalTimeLeftMs(progress: readonly RestoreProgress[]): number | undefined {
  const sum = (of: (store: RestoreProgress) => number): number => progress.reduce((total, store) => total + of(store), 0);
  return timeLeftMs(
    sum((store) => store.remaining),
    sum((store) => store.offsetsPerSecond),
  );
}

/** Undefined: nothing comes, so nobody knows. */
function timeLeftMs(remaining: number, offsetsPerSecond: number): number | undefined {
  if (remaining === 0) return 0;
  return offsetsPerSecond > 0 ? Math.round((remaining / offsetsPerSecond) * 1000) : undefined;
}
