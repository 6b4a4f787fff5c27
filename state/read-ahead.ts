/** Rows of the engine that records in the queue are going to ask for, read beside the processing: most of a get is then not on its thread. */
import type { CommittedRows } from "./committed-rows.ts";

/** Rows asked for and not answered; above it nothing more is asked for. */
const MAX_ROWS = 8_192;

/** Who gets a row. */
export interface RowReceiver {
  /** The engine's row of this key, undefined for none. `name`: the key bytes as latin1. Nothing newer is in the engine. */
  arrived(key: string, windowStart: number, name: string, value: Buffer | undefined): void;
}

class Read {
  readonly receivers: RowReceiver[] = [];
  readonly keys: string[] = [];
  readonly windowStarts: number[] = [];
  readonly idLengths: number[] = [];
  readonly engineKeys: Buffer[] = [];
}

export class ReadAhead {
  readonly #rows: CommittedRows;
  #next = new Read();
  #asking = 0;
  #lastRead: Promise<void> = Promise.resolve();

  constructor(rows: CommittedRows) {
    this.#rows = rows;
  }

  /** `engineKey`, which begins with a store id of so many bytes, is kept. */
  want(receiver: RowReceiver, key: string, windowStart: number, idLength: number, engineKey: Buffer): void {
    const read = this.#next;
    if (this.#asking + read.keys.length >= MAX_ROWS) return;
    read.receivers.push(receiver);
    read.keys.push(key);
    read.windowStarts.push(windowStart);
    read.idLengths.push(idLength);
    read.engineKeys.push(engineKey);
  }

  /** Sets off the read of what is wanted. A row that is late is read by its record itself. */
  start(): void {
    const read = this.#next;
    if (read.keys.length === 0) return;
    this.#next = new Read();
    this.#asking += read.keys.length;
    const done = this.#read(read);
    // An engine that fails will fail the record's own read too, which reports it.
    this.#lastRead = Promise.allSettled([this.#lastRead, done]).then(() => undefined);
  }

  /** When reads under way have ended: the engine may then be closed. */
  async settled(): Promise<void> {
    await this.#lastRead;
  }

  async #read(read: Read): Promise<void> {
    const { engine, generation } = this.#rows;
    try {
      const values = await engine.getMany(read.engineKeys);
      // A checkpoint may have changed the rows meanwhile.
      if (generation !== this.#rows.generation) return;
      for (let i = 0; i < values.length; i++) {
        const name = read.engineKeys[i].toString("latin1", read.idLengths[i]);
        read.receivers[i].arrived(read.keys[i], read.windowStarts[i], name, values[i]);
      }
    } finally {
      this.#asking -= read.keys.length;
    }
  }
}
