/** Whether the disk has room left: below the bound nothing is taken, as deleting what was forwarded takes room too. */
import { statfs } from "node:fs/promises";
import type { Logger } from "pino";

export class DiskSpace {
  readonly #dir: string;
  readonly #minFreeBytes: number;
  readonly #logger: Logger;
  #isFull = false;

  constructor(dir: string, minFreeBytes: number, logger: Logger) {
    this.#dir = dir;
    this.#minFreeBytes = minFreeBytes;
    this.#logger = logger;
  }

  get isFull(): boolean {
    return this.#isFull;
  }

  async look(): Promise<void> {
    const { bavail, bsize } = await statfs(this.#dir);
    const freeBytes = bavail * bsize;
    const isFull = freeBytes < this.#minFreeBytes;
    if (isFull === this.#isFull) return;
    this.#isFull = isFull;
    const told = { dir: this.#dir, freeBytes, minFreeBytes: this.#minFreeBytes };
    if (isFull) this.#logger.error(told, "the disk is nearly full: messages are refused until there is room");
    else this.#logger.info(told, "there is room on the disk again");
  }
}
