/** Finds Kafka's requests in a connection's bytes: each is an int32 length, then an int16 API key, ... */
export class RequestScanner {
  #head = Buffer.alloc(0);
  /** Bytes of the request in hand that are still to come. */
  #left = 0;

  /** API keys of the requests that begin in this chunk, or whose key became known with it. */
  scan(chunk: Buffer): number[] {
    const keys: number[] = [];
    let at = 0;
    while (at < chunk.length) {
      if (this.#left > 0) {
        const skipped = Math.min(this.#left, chunk.length - at);
        this.#left -= skipped;
        at += skipped;
        continue;
      }
      const missing = HEAD_BYTES - this.#head.length;
      this.#head = Buffer.concat([this.#head, chunk.subarray(at, at + missing)]);
      at += missing;
      if (this.#head.length < HEAD_BYTES) break;
      keys.push(this.#head.readInt16BE(4));
      this.#left = this.#head.readInt32BE(0) - 2;
      this.#head = Buffer.alloc(0);
    }
    return keys;
  }
}

/** Length and API key. */
const HEAD_BYTES = 6;

/** API keys of Kafka's protocol guide, as far as tests name them. */
export const API_KEYS = {
  produce: 0,
  fetch: 1,
  findCoordinator: 10,
  initProducerId: 22,
  addPartitionsToTxn: 24,
  addOffsetsToTxn: 25,
  endTxn: 26,
  txnOffsetCommit: 28,
} as const;
