/** What is made of some files, made again when one of them has changed: certificates and passwords are replaced without a restart. */
import { statSync } from "node:fs";
import type { Logger } from "pino";

/** A changed file is noticed within this time, when it is asked for; asking costs a few microseconds a file. ms. */
const CHECK_MS = 2_000;

export class Reloaded<T> {
  readonly #files: readonly string[];
  readonly #make: () => T;
  readonly #logger: Logger;
  #value: T;
  #version = 0;
  #seen: string;
  #checkAt: number;

  /**
   * @param make reads the files and checks that they fit together
   * @throws what `make` throws, now; later the last good value stays, and a warning says why, until the files are right
   */
  constructor(files: readonly string[], make: () => T, logger: Logger) {
    this.#files = files;
    this.#make = make;
    this.#logger = logger;
    this.#seen = this.#stamp();
    this.#value = make();
    this.#checkAt = performance.now() + CHECK_MS;
  }

  get current(): T {
    this.#check();
    return this.#value;
  }

  /** Grows with every new value. */
  get version(): number {
    this.#check();
    return this.#version;
  }

  #check(): void {
    const now = performance.now();
    if (now < this.#checkAt || this.#files.length === 0) return;
    this.#checkAt = now + CHECK_MS;
    const stamp = this.#stamp();
    if (stamp === this.#seen) return;
    try {
      this.#value = this.#make();
      this.#version++;
      this.#seen = stamp;
      this.#logger.info({ files: this.#files }, "read again");
    } catch (error) {
      // half of a replacement: a new certificate whose key is still to come. Looked at again, whether it changes or not
      this.#logger.warn({ err: error, files: this.#files }, "changed files cannot be used yet; going on with what was read before");
    }
  }

  /** By inode too: a Kubernetes secret is replaced by moving a link, and may keep its time. */
  #stamp(): string {
    return this.#files
      .map((file) => {
        const found = statSync(file, { throwIfNoEntry: false });
        return found === undefined ? "absent" : `${found.ino} ${found.mtimeMs} ${found.size}`;
      })
      .join("|");
  }
}
