/**
 * Looks at MQTT's fixed headers only, before any parser keeps the bytes: a packet that says it is larger than allowed, or whose length
 * is malformed, is seen at once, and no memory is taken for it.
 */
export class PacketGuard {
  readonly #maxBytes: number;
  /** Of the packet at hand still to come. */
  #left = 0;
  #length = 0;
  /** Bytes of its length seen; -1: the next byte begins a packet. */
  #lengthBytes = -1;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** False: no byte of this connection can be trusted any more. */
  accepts(chunk: Uint8Array): boolean {
    for (let at = 0; at < chunk.length;) {
      if (this.#left > 0) {
        const skipped = Math.min(this.#left, chunk.length - at);
        this.#left -= skipped;
        at += skipped;
        continue;
      }
      const byte = chunk[at++];
      if (this.#lengthBytes < 0) {
        this.#lengthBytes = this.#length = 0;
        continue;
      }
      this.#length += (byte & 0x7f) * 128 ** this.#lengthBytes++;
      if (byte >= 0x80) {
        // four bytes at the most [MQTT 5, 1.5.5]
        if (this.#lengthBytes === 4) return false;
        continue;
      }
      if (1 + this.#lengthBytes + this.#length > this.#maxBytes) return false;
      this.#left = this.#length;
      this.#lengthBytes = -1;
    }
    return true;
  }
}
