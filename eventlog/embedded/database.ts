/**
 * The level database under the log: opening and its lock, atomic writes, range reads.
 *
 *     writable --a write fails--> refusing;   any --close--> closed
 *
 * After a write that failed, no space or I/O error alike, nothing is written any more. Level keeps appending behind the half record
 * that such a write leaves in its journal, and what stands behind it is not found again: everything acknowledged since is lost
 * (google/leveldb 1.20: db/log_writer.cc AddRecord, db/log_reader.cc). Nor can it cut the journal, and a later fsync that succeeds
 * says nothing of pages that an earlier one gave up. So it is done as Kafka (a log directory that failed is offline) and PostgreSQL (PANIC
 * when the write-ahead log cannot be written) do: opening anew reads what is whole and writes it to new files.
 */
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
  /** Under way, in no particular order in level's journal. */
  readonly #writes = new Set<Promise<void>>();
  #failure: Error | undefined;

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

  /** Throws `write-failed`. For whoever reserves offsets before it writes: nothing would ever decide them. */
  assertWritable(): void {
    const cause = this.#failure;
    if (cause === undefined) return;
    throw new LogError("write-failed", `the event log takes no writes since one failed (${cause.message}): open it anew`, { cause });
  }

  /**
   * All operations or none. The values are copied before this returns its promise, so buffers may be reused at once.
   * Rejects with `unknown-outcome`, as only opening anew tells what a failed write left, and from then on with `write-failed`.
   */
  async write(operations: Operation[]): Promise<void> {
    this.assertWritable();
    const own = this.#level.batch(operations, { sync: this.#fsync }).catch((error: unknown) => {
      this.#failure ??= error as Error;
    });
    this.#writes.add(own);
    await own;
    this.#writes.delete(own);
    // Those that overlap may stand before this one in the journal: had one of them failed, this one would be lost.
    if (this.#writes.size > 0) await Promise.all(this.#writes);
    const cause = this.#failure;
    if (cause !== undefined) throw new LogError("unknown-outcome", `the event log could not be written: ${cause.message}`, { cause });
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

  /** Deletes a range, in several writes: part of it may be gone when one of them rejects. */
  async clear({ gte, lt }: Range): Promise<void> {
    let from: { gte: Buffer } | { gt: Buffer } = { gte };
    for (;;) {
      const keys: Buffer[] = await this.#level.keys({ ...from, lt, limit: MAX_ROWS_PER_READ }).all();
      if (keys.length === 0) return;
      await this.write(keys.map((key) => ({ type: "del", key })));
      from = { gt: keys[keys.length - 1] };
    }
  }

  /** Gives the disk back what was deleted in a range, which level else does only as it happens to rewrite the files. */
  async reclaim(range: Range): Promise<void> {
    await this.#level.compactRange(range.gte, range.lt);
  }

  async close(): Promise<void> {
    await this.#level.close();
  }
}
