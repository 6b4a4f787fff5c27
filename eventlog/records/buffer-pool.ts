/**
 * Buffers of record batches, used again for the next ones. V8 frees a buffer that has lived for a while only with a collection of its
 * old generation, which comes every few seconds: a builder that lets one go and makes another holds both until then.
 */

/** Smallest buffer: a worker has one builder for each changelog partition. Bytes. */
const MIN_BYTES = 4096;
/** Largest that is kept: the next power of two above Kafka's default for a batch. Bytes. */
const MAX_BYTES = 1024 * 1024;

export class BufferPool {
  /** Not in use, by the power of two that is their size. */
  readonly #free: Buffer[][] = [];
  #freeBytes = 0;

  /** Of the buffers that wait for use. */
  get freeBytes(): number {
    return this.#freeBytes;
  }

  /** A buffer of at least so many bytes, with whatever it holds. */
  take(bytes: number): Buffer {
    const power = powerOf(Math.max(bytes, MIN_BYTES));
    const found = this.#free[power]?.pop() ?? this.#free[power + 1]?.pop();
    if (found === undefined) return Buffer.allocUnsafeSlow(2 ** power);
    this.#freeBytes -= found.length;
    return found;
  }

  /** Only what take() gave, once, and not used any more. */
  give(buffer: Buffer): void {
    if (buffer.length < MIN_BYTES || buffer.length > MAX_BYTES) return;
    const power = powerOf(buffer.length);
    (this.#free[power] ??= []).push(buffer);
    this.#freeBytes += buffer.length;
  }

  /** Lets buffers go, the largest first, until at most `maxBytes` wait for use. */
  trim(maxBytes: number): void {
    for (let power = this.#free.length - 1; this.#freeBytes > maxBytes; power--) {
      const buffers = this.#free[power];
      while (this.#freeBytes > maxBytes) {
        const buffer = buffers?.pop();
        if (buffer === undefined) break;
        this.#freeBytes -= buffer.length;
      }
    }
  }
}

/** Of the smallest power of two that is not less; up to 2^31. */
function powerOf(bytes: number): number {
  return 32 - Math.clz32(bytes - 1);
}
