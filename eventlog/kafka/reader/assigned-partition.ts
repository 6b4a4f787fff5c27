/** What a reader keeps for one partition of its assignment. A seek makes a new one, so that an answer to the old position is recognized. */
import type { LogError } from "../../errors.ts";
import type { Trouble } from "../../port.ts";
import type { FetchedChunk, OutgoingBatch } from "./fetched-chunk.ts";

/** First pause after a failed fetch, doubled up to the second: short for a moved leader, bounded for a broker that is down. */
const FIRST_BACKOFF_MS = 20;
const MAX_BACKOFF_MS = 1_000;

export class AssignedPartition {
  readonly topic: string;
  readonly partition: number;
  /** Next offset to hand out. */
  position: number;
  /** Next offset to ask for: past what is buffered. */
  fetchOffset: number;
  paused = false;
  /** A fetch or a leader look-up is on its way. */
  busy = false;
  /** Thrown by each poll until the caller seeks or assigns. */
  error: LogError | undefined;
  /** No fetch before this time (performance.now()). */
  notBefore = 0;
  /** When the topic was first answered to be unknown, or undefined. */
  unknownSince: number | undefined;
  /** Since its fetches, or looking for its leader, have failed. */
  trouble: Trouble | undefined;
  #failures = 0;
  #chunks: FetchedChunk[] = [];

  constructor(topic: string, partition: number, offset: number) {
    this.topic = topic;
    this.partition = partition;
    this.position = offset;
    this.fetchOffset = offset;
  }

  get bufferedBytes(): number {
    let bytes = 0;
    for (const chunk of this.#chunks) bytes += chunk.bytesLeft;
    return bytes;
  }

  get hasBuffered(): boolean {
    return this.#chunks.length > 0;
  }

  /** @param nextFetchOffset behind the last whole batch of the chunk. */
  buffer(chunk: FetchedChunk, nextFetchOffset: number): void {
    this.#chunks.push(chunk);
    this.fetchOffset = nextFetchOffset;
  }

  /** See FetchedChunk.take. */
  take(out: OutgoingBatch[], budgetBytes: number): number {
    let taken = 0;
    while (taken < budgetBytes && this.#chunks.length > 0) {
      const before = out.length;
      try {
        taken += this.#chunks[0].take(out, budgetBytes - taken);
      } finally {
        if (out.length > before) this.position = out[out.length - 1].nextOffset;
      }
      if (this.#chunks[0].bytesLeft === 0) this.#chunks.shift()?.finished();
    }
    return taken;
  }

  succeeded(): void {
    this.#failures = 0;
    this.trouble = undefined;
    this.unknownSince = undefined;
  }

  backOff(now: number, error: Error): void {
    this.trouble ??= { since: now, error };
    this.notBefore = now + Math.min(FIRST_BACKOFF_MS * 2 ** this.#failures, MAX_BACKOFF_MS);
    this.#failures = Math.min(this.#failures + 1, 16);
  }
}
