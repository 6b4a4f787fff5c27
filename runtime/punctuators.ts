/** Scheduled callbacks of one task, by clock. An interval that was jumped over fires once, as in Kafka Streams. */
import type { Punctuation, PunctuationClock } from "../topology/processor.ts";

interface Entry {
  readonly intervalMs: number;
  readonly callback: (now: number) => void;
  nextAt: number;
  cancelled: boolean;
}

export class Punctuators {
  readonly #entries: Record<PunctuationClock, Entry[]> = { "stream-time": [], "receive-time": [], "wall-clock": [] };
  /** Earliest due time of each clock, so that the check per record is one comparison. */
  readonly #nextAt: Record<PunctuationClock, number> = { "stream-time": Infinity, "receive-time": Infinity, "wall-clock": Infinity };

  /** @param now of that clock; -1 when it has not begun: the first tick then starts the interval. */
  schedule(intervalMs: number, clock: PunctuationClock, now: number, callback: (now: number) => void): Punctuation {
    if (!(intervalMs > 0)) throw new RangeError(`a punctuation interval must be positive, not ${intervalMs}`);
    const entry: Entry = { intervalMs, callback, nextAt: now < 0 ? -1 : now + intervalMs, cancelled: false };
    this.#entries[clock].push(entry);
    this.#refresh(clock);
    return {
      cancel: () => {
        entry.cancelled = true;
        this.#entries[clock] = this.#entries[clock].filter((other) => other !== entry);
        this.#refresh(clock);
      },
    };
  }

  /** Epoch ms when the wall clock has something to do; Infinity for never. */
  get nextWallClockAt(): number {
    return this.#nextAt["wall-clock"];
  }

  isDue(clock: PunctuationClock, now: number): boolean {
    return now >= this.#nextAt[clock];
  }

  /** Runs what is due; returns how many callbacks ran. */
  run(clock: PunctuationClock, now: number): number {
    let ran = 0;
    for (const entry of [...this.#entries[clock]]) {
      if (entry.cancelled || now < entry.nextAt) continue;
      if (entry.nextAt === -1) {
        entry.nextAt = now + entry.intervalMs;
        continue;
      }
      entry.nextAt += entry.intervalMs * (1 + Math.floor((now - entry.nextAt) / entry.intervalMs));
      entry.callback(now);
      ran++;
    }
    this.#refresh(clock);
    return ran;
  }

  #refresh(clock: PunctuationClock): void {
    this.#nextAt[clock] = this.#entries[clock].reduce((earliest, entry) => Math.min(earliest, entry.nextAt), Infinity);
  }
}
