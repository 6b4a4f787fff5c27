/** RocksDB through `@nxtedition/rocksdb`: for state far larger than memory, where compaction decides. */
import { rm } from "node:fs/promises";
import { StateError } from "../errors.ts";
import type { EngineOp, EngineRange, EngineRow, StateEngine } from "./engine.ts";
import { toOpenError, toStateError } from "./level-error.ts";
import { toFrames } from "./operation-frames.ts";
import { loadRocksDb } from "./rocksdb-binding.ts";
import type { RocksDb } from "./rocksdb-binding.ts";
import { rocksDbWriter } from "./rocksdb-writer.ts";

/** Of decoded blocks. Small: the object cache in front holds what is hot, and a worker may own 100 tasks. */
const BLOCK_CACHE_BYTES = 4 << 20;

/** Write buffers are a quarter of it (two wait to be merged, six at the most), table files an eighth. */
const MEMTABLE_BUDGET_BYTES = 16 << 20;

/** Threads that compact, shared by all databases of the process: a core each, beside the one that processes. */
const BACKGROUND_THREADS = 2;

/** What an iterator brings over from native code in one go, rows and bytes. */
const READ_ROWS = 1000;
const READ_BYTES = 256 << 10;

const OPEN_OPTIONS = {
  createIfMissing: true,
  compaction: "level",
  memtableMemoryBudget: MEMTABLE_BUDGET_BYTES,
  cacheSize: BLOCK_CACHE_BYTES,
  parallelism: BACKGROUND_THREADS,
  // Of the upper levels and the log, as in level.ts. `compaction: level` compresses the large lower levels.
  compression: false,
  walCompression: false,
} as const;

const NO_OPTIONS = {} as const;

export class RocksDbEngine implements StateEngine {
  readonly #directory: string;
  #db: RocksDb | undefined;
  /** The batch under way: closing waits for it, because the writer thread must not see the database go. */
  #writing: Promise<void> = Promise.resolve();

  constructor(directory: string) {
    this.#directory = directory;
  }

  async open(): Promise<void> {
    const makeDb = await loadRocksDb();
    const db = makeDb(this.#directory);
    try {
      await db.open(OPEN_OPTIONS);
    } catch (error) {
      throw toOpenError(error, this.#directory);
    }
    this.#db = db;
  }

  getSync(key: Uint8Array): Buffer | undefined {
    const db = this.#opened();
    try {
      const [value] = db._getManySync([key]);
      return value ?? undefined;
    } catch (error) {
      throw toStateError(error, this.#directory);
    }
  }

  async getMany(keys: readonly Uint8Array[]): Promise<readonly (Buffer | undefined)[]> {
    const db = this.#opened();
    try {
      return await new Promise((resolve, reject) =>
        db._getManyAsync(keys, NO_OPTIONS, (error, values) => {
          if (error === null) resolve(values.map((value) => value ?? undefined));
          else reject(error);
        }),
      );
    } catch (error) {
      throw toStateError(error, this.#directory);
    }
  }

  async batch(ops: Iterable<EngineOp>): Promise<void> {
    const run = this.#write(this.#opened(), ops);
    this.#writing = run.then(noop, noop);
    await run;
  }

  async read(range: EngineRange): Promise<readonly EngineRow[]> {
    const db = this.#opened();
    const { from, after, to, limit } = range;
    const rows: EngineRow[] = [];
    if (limit === 0) return rows;
    try {
      const iterator = db.iterator({
        ...(after !== undefined ? { gt: after } : from !== undefined ? { gte: from } : {}),
        ...(to !== undefined ? { lt: to } : {}),
        limit,
        highWaterMarkBytes: READ_BYTES,
        fillCache: false,
      });
      try {
        while (rows.length < limit) {
          const some = await iterator.nextv(Math.min(limit - rows.length, READ_ROWS));
          if (some.length === 0) break;
          for (const row of some) rows.push(row);
        }
      } finally {
        await iterator.close();
      }
    } catch (error) {
      throw toStateError(error, this.#directory);
    }
    return rows;
  }

  async close(): Promise<void> {
    const db = this.#db;
    this.#db = undefined;
    if (db === undefined) return;
    await this.#writing;
    try {
      await db.close();
    } catch (error) {
      throw toStateError(error, this.#directory);
    }
  }

  async destroy(): Promise<void> {
    await this.close();
    await this.#assertUnlocked();
    try {
      await rm(this.#directory, { recursive: true, force: true });
    } catch (error) {
      throw toStateError(error, this.#directory);
    }
  }

  async #write(db: RocksDb, ops: Iterable<EngineOp>): Promise<void> {
    try {
      const frames = await toFrames(ops);
      await rocksDbWriter.write(db.handle, frames);
    } catch (error) {
      throw toStateError(error, this.#directory);
    }
  }

  /** Opening takes the lock, whatever it finds after that. */
  async #assertUnlocked(): Promise<void> {
    try {
      await this.open();
    } catch (error) {
      if (error instanceof StateError && error.code === "locked") throw error;
      return; // damaged: that is why it goes
    }
    await this.close();
  }

  #opened(): RocksDb {
    if (this.#db === undefined) throw new StateError("closed", `the state in ${this.#directory} is not open`);
    return this.#db;
  }
}

function noop(): void {}
