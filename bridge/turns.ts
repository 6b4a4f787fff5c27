/** Work that must not overlap: each begins when the one before has ended, however it ended. */
export class Turns {
  #tail: Promise<unknown> = Promise.resolve();

  /** Resolves and rejects as `work` does. */
  run<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(work);
    this.#tail = result.catch(() => undefined); // the caller gets the rejection; the next in line goes on
    return result;
  }
}
