/** The buffer that a broker's answer came in: given back to the system when nobody reads it any more. */

/**
 * V8 frees a buffer that has lived for a moment only with a collection of its old generation, and collects that when it and its buffers have
 * grown by as much as they were: by then a worker holds several times what it reads. Whoever takes a share and never gives it
 * back (of a partition that was taken away, say) leaves the buffer to V8.
 */
export class FetchedAnswer {
  readonly #buffer: ArrayBuffer;
  #shares = 0;

  constructor(bytes: Buffer) {
    this.#buffer = bytes.buffer as ArrayBuffer;
  }

  /** One more reads from it. */
  share(): void {
    this.#shares++;
  }

  /** One of them is done: after the last one whoever still looks at it finds nothing. */
  giveBack(): void {
    if (--this.#shares === 0) free(this.#buffer);
  }
}

/** Reads of a view of it then give undefined, and its length is 0. Nothing happens to a small one, which may be Node's pool. */
export function free(buffer: ArrayBufferLike): void {
  if (buffer.byteLength > Buffer.poolSize) (buffer as ArrayBuffer).transfer(0);
}
