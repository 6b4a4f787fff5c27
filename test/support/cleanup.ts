/** What the helpers need of a test context: `t` of node:test, or any list of things to undo. */
export interface Cleanup {
  after(undo: () => void | Promise<void>): void;
}

/** For helpers used outside a test: runs the collected steps in reverse order when the caller asks for it. */
export class CleanupList implements Cleanup {
  readonly #steps: (() => void | Promise<void>)[] = [];

  after(undo: () => void | Promise<void>): void {
    this.#steps.push(undo);
  }

  async run(): Promise<void> {
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) await step();
  }
}
