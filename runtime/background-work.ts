/** What a task's processors wait for beside its records: scans that fill their indexes. */
export class BackgroundWork {
  readonly #underWay = new Set<Promise<void>>();
  #failure: { readonly error: unknown } | undefined;
  #closed = false;

  run(work: () => Promise<void>): void {
    const done = work()
      .catch((error: unknown) => {
        if (!this.#closed) this.#failure ??= { error };
      })
      .finally(() => this.#underWay.delete(done));
    this.#underWay.add(done);
  }

  /** @throws what some work failed with. */
  throwIfFailed(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  /** The task closes, and what the work reads with it: errors from here on say only that. */
  close(): void {
    this.#closed = true;
  }

  /** Never rejects. */
  async settled(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.all(this.#underWay);
  }
}
