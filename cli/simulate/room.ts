/** Counts what is under way and lets a sender wait for room, or for all to be done. */
export class Room {
  readonly #limit: number;
  #taken = 0;
  #failure: Error | undefined;
  #waiting: { below: number; resolve: () => void; reject: (error: Error) => void }[] = [];

  constructor(limit: number) {
    this.#limit = limit;
  }

  get taken(): number {
    return this.#taken;
  }

  /** One more under way; a promise when that fills it, to be awaited before the next. */
  take(): Promise<void> | undefined {
    this.#taken++;
    return this.#taken < this.#limit && this.#failure === undefined ? undefined : this.#below(this.#limit);
  }

  /** One less. An error ends every wait, now and later. */
  leave(error?: Error): void {
    this.#taken--;
    if (error !== undefined) this.#failure ??= error;
    if (this.#waiting.length === 0) return;
    const failure = this.#failure;
    const ready = this.#waiting.filter(({ below }) => failure !== undefined || this.#taken < below);
    this.#waiting = this.#waiting.filter((wait) => !ready.includes(wait));
    for (const wait of ready) {
      if (failure === undefined) wait.resolve();
      else wait.reject(failure);
    }
  }

  empty(): Promise<void> {
    return this.#below(1);
  }

  #below(below: number): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#taken < below) return Promise.resolve();
    return new Promise((resolve, reject) => this.#waiting.push({ below, resolve, reject }));
  }
}
