/** The level database under the log: opening and its lock, atomic writes, range reads. */
import { ClassicLevel } from "classic-level";
import { LogError } from "../errors.ts";
import { META_KEY } from "./keys.ts";

export type Operation =
  { readonly type: "put"; readonly key: Buffer; readonly value: Buffer } | { readonly type: "del"; readonly key: Buffer };

export interface Range {
  readonly gte: Buffer;
  readonly lt: Buffer;
}

/** Raised when the layout of the rows changes; an older or newer directory is refused. */
const FORMAT_VERSION = 1;
/** Rows of one read slice, besides its byte bound. */
const MAX_ROWS_PER_READ = 4096;
/** Batches are up to megabytes: the default of 4 MiB would mean a table file for every few of them. */
const WRITE_BUFFER_BYTES = 16 * 1024 * 1024;

const ENCODING = { keyEncoding: "buffer", valueEncoding: "buffer" } as const;

export class Database {
  readonly #level: ClassicLevel<Buffer, Buffer>;
  readonly #fsync: boolean;

  private constructor(level: ClassicLevel<Buffer, Buffer>, fsync: boolean) {
    this.#level = level;
    this.#fsync = fsync;
  }

  /** @param fsync each write waits for the disk. Throws `unavailable` (fatal) when another process has the directory. */
  static async open(dir: string, fsync: boolean): Promise<Database> {
    const level = new ClassicLevel<Buffer, Buffer>(dir, {
      ...ENCODING,
      writeBufferSize: WRITE_BUFFER_BYTES,
      maxFileSize: WRITE_BUFFER_BYTES,
    });
    try {
      await level.open();
    } catch (error) {
      const cause = (error as Error).cause as { code?: string; message?: string } | undefined;
      const why = cause?.code === "LEVEL_LOCKED" ? "another process is using it" : (cause?.message ?? String(error));
      throw new LogError("unavailable", `the event log in ${dir} cannot be opened: ${why}`, { cause: error, action: "fatal" });
    }
    const database = new Database(level, fsync);
    const version = await database.get(META_KEY);
    if (version === undefined) await database.write([{ type: "put", key: META_KEY, value: Buffer.from([FORMAT_VERSION]) }]);
    else if (version[0] !== FORMAT_VERSION) {
      await level.close();
      throw new LogError("unavailable", `the event log in ${dir} has format ${version[0]}, this version reads ${FORMAT_VERSION}`, {
        action: "fatal",
      });
    }
    return database;
  }

  get(key: Buffer): Promise<Buffer | undefined> {
    return this.#level.get(key);
  }

  /**
   * All operations or none. The values are copied before this returns its promise, so buffers may be reused at once.
   * Rejects with `unknown-outcome`: level cannot say whether a failed write will be found after a restart.
   */
  async write(operations: Operation[]): Promise<void> {
    try {
      await this.#level.batch(operations, { sync: this.#fsync });
    } catch (cause) {
      throw new LogError("unknown-outcome", `the event log could not be written: ${(cause as Error).message}`, { cause });
    }
  }

  /** The rows of a range in slices of about `maxBytes`; stop early by leaving the loop. */
  async *slices(range: Range, maxBytes: number): AsyncGenerator<[Buffer, Buffer][], void> {
    const iterator = this.#level.iterator({ ...range, highWaterMarkBytes: maxBytes });
    try {
      for (;;) {
        const rows = await iterator.nextv(MAX_ROWS_PER_READ);
        if (rows.length === 0) return;
        yield rows;
      }
    } finally {
      await iterator.close();
    }
  }

  /** The first rows of a range, about `maxBytes` of them; [] when it is empty. */
  async first(range: Range, maxBytes: number): Promise<[Buffer, Buffer][]> {
    const iterator = this.#level.iterator({ ...range, highWaterMarkBytes: maxBytes });
    try {
      return await iterator.nextv(MAX_ROWS_PER_READ);
    } finally {
      await iterator.close();
    }
  }

  /** The last row of a range. */
  async last(range: Range): Promise<[Buffer, Buffer] | undefined> {
    for await (const row of this.#level.iterator({ ...range, reverse: true, limit: 1 })) return row;
    return undefined;
  }

  async clear(range: Range): Promise<void> {
    await this.#level.clear(range);
  }

  /** Gives the disk back what was deleted in a range, which level else does only as it happens to rewrite the files. */
  async reclaim(range: Range): Promise<void> {
    await this.#level.compactRange(range.gte, range.lt);
  }

  async close(): Promise<void> {
    await this.#level.close();
  }
}
