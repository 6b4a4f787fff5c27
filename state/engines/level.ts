/** The default engine: LevelDB through classic-level (prebuilt, with a synchronous get). */
import { ClassicLevel } from "classic-level";
import { setImmediate as nextTurn } from "node:timers/promises";
import { StateError } from "../errors.ts";
import type { EngineOp, EngineRange, EngineRow, StateEngine } from "./engine.ts";
import { toOpenError, toStateError } from "./level-error.ts";
import { checkTables, listTables } from "./level-tables.ts";

/** Of decoded blocks. Small: the object cache in front holds what is hot, and a worker may own 100 tasks. */
const BLOCK_CACHE_BYTES = 1 << 20;

/** LevelDB keeps up to two of these in memory. A batch larger than it still goes in as one piece. */
const WRITE_BUFFER_BYTES = 2 << 20;

/** Larger than LevelDB's 2 MiB: fewer files for a worker with many tasks. */
const TABLE_FILE_BYTES = 8 << 20;

/**
 * Tables whose index and filter stay in memory (some percent of their size): 8 GiB of state. A get or a compaction that
 * has to open a table first costs many times its own work. No descriptors: LevelDB maps its first 1000 tables and closes
 * the files, and bounds by itself how many others it keeps open.
 */
const MAX_OPEN_FILES = 1000;

/** What an iterator brings over from native code in one go, rows and bytes. */
const READ_ROWS = 1000;
const READ_BYTES = 256 << 10;

/** The longest stretch without giving the event loop a turn while a batch is built. Half of the 10 ms that a slice may take. */
const BATCH_SLICE_MS = 5;

/** The clock is read once in so many rows (about 0.1 ms). */
const ROWS_PER_CLOCK_READ = 256;

export class LevelEngine implements StateEngine {
  readonly #directory: string;
  #db: ClassicLevel<Buffer, Buffer> | undefined;

  constructor(directory: string) {
    this.#directory = directory;
  }

  async open(): Promise<void> {
    const tables = await listTables(this.#directory);
    const db = new ClassicLevel<Buffer, Buffer>(this.#directory, { keyEncoding: "buffer", valueEncoding: "buffer" });
    try {
      await db.open({
        // Rows are small binary values that Snappy hardly shrinks, and the CPU is what is scarce.
        compression: false,
        cacheSize: BLOCK_CACHE_BYTES,
        writeBufferSize: WRITE_BUFFER_BYTES,
        maxFileSize: TABLE_FILE_BYTES,
        maxOpenFiles: MAX_OPEN_FILES,
      });
      await checkTables(this.#directory, tables);
    } catch (error) {
      if (db.status === "open") await db.close();
      throw toOpenError(error, this.#directory);
    }
    this.#db = db;
  }

  getSync(key: Uint8Array): Buffer | undefined {
    const db = this.#opened();
    try {
      return db.getSync(key as Buffer);
    } catch (error) {
      throw toStateError(error, this.#directory);
    }
  }

  async getMany(keys: readonly Uint8Array[]): Promise<readonly (Buffer | undefined)[]> {
    const db = this.#opened();
    try {
      return await db.getMany(keys as Buffer[]);
    } catch (error) {
      throw toStateError(error, this.#directory);
    }
  }

  async batch(ops: Iterable<EngineOp>): Promise<void> {
    const db = this.#opened();
    // A chained batch costs a third of an array batch on the main thread (0.4 against 1.4 us a row) and can be built in slices.
    const batch = db.batch();
    try {
      let rows = 0;
      let sliceStart = performance.now();
      for (const { key, value } of ops) {
        if (value === undefined) batch.del(key as Buffer);
        else batch.put(key as Buffer, value as Buffer);
        if (++rows % ROWS_PER_CLOCK_READ === 0 && performance.now() - sliceStart > BATCH_SLICE_MS) {
          await nextTurn();
          sliceStart = performance.now();
        }
      }
      // Synced: without it a power loss may leave a hole in LevelDB's log, and rows behind the hole but not in it.
      await batch.write({ sync: true });
    } catch (error) {
      await batch.close();
      throw toStateError(error, this.#directory);
    }
  }

  async read(range: EngineRange): Promise<readonly EngineRow[]> {
    const db = this.#opened();
    const { from, after, to, limit } = range;
    const rows: EngineRow[] = [];
    try {
      const iterator = db.iterator({
        ...(after !== undefined ? { gt: after as Buffer } : from !== undefined ? { gte: from as Buffer } : {}),
        ...(to !== undefined ? { lt: to as Buffer } : {}),
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
    try {
      await db.close();
    } catch (error) {
      throw toStateError(error, this.#directory);
    }
  }

  async destroy(): Promise<void> {
    await this.close();
    try {
      await ClassicLevel.destroy(this.#directory);
    } catch (error) {
      throw toStateError(error, this.#directory);
    }
  }

  #opened(): ClassicLevel<Buffer, Buffer> {
    if (this.#db === undefined) throw new StateError("closed", `the state in ${this.#directory} is not open`);
    return this.#db;
  }
}
