/** What the changelog has: rows in memory that wait for a checkpoint, in front of the engine. */
import type { ByteWriter } from "./byte-writer.ts";
import type { EngineOp, StateEngine } from "./engines/engine.ts";
import { ReadAhead } from "./read-ahead.ts";
import { RowTable } from "./row-table.ts";
import type { TableRow } from "./row-table.ts";

const EMPTY = Buffer.alloc(0);

export class CommittedRows {
  readonly engine: StateEngine;
  /** By store index: the bytes that start a store's keys in the engine. */
  readonly storeIds: readonly Buffer[];
  /** Counts finished checkpoints: rows may have moved from memory to the engine when it changed. */
  generation = 0;
  /** The value that find() found, format byte included. Valid until the next call of anything here. */
  foundBytes: Buffer = EMPTY;
  foundStart = 0;
  foundEnd = 0;
  readonly readAhead = new ReadAhead(this);
  /** Look-ups that the engine had to answer, then or ahead. */
  engineReads = 0;
  #table: RowTable;
  /** On its way into the engine. */
  #checkpointing: RowTable | undefined;

  /** No row of these stores was ever in the engine: there is nothing that a tombstone would have to hide or delete. */
  #engineIsEmpty: boolean;

  constructor(engine: StateEngine, storeIds: readonly Buffer[], engineIsEmpty: boolean) {
    this.engine = engine;
    this.#engineIsEmpty = engineIsEmpty;
    this.storeIds = storeIds;
    this.#table = new RowTable(storeIds);
  }

  /** Memory held by rows that the engine does not have. */
  get bytes(): number {
    return this.#table.bytes + (this.#checkpointing?.bytes ?? 0);
  }

  get rows(): number {
    return this.#table.rows + (this.#checkpointing?.rows ?? 0);
  }

  /** As RowTable.put. */
  put(
    storeIndex: number,
    bytes: Buffer,
    keyStart: number,
    keyEnd: number,
    valueStart: number,
    valueEnd: number,
    known?: TableRow,
  ): TableRow {
    return this.#table.put(storeIndex, bytes, keyStart, keyEnd, valueStart, valueEnd, known);
  }

  /** As put(), of a row that nobody knows from an earlier put(). */
  restore(storeIndex: number, bytes: Buffer, keyStart: number, keyEnd: number, valueStart: number, valueEnd: number): void {
    if (valueStart < 0 && this.#engineIsEmpty) this.#table.remove(storeIndex, bytes, keyStart, keyEnd);
    else this.#table.put(storeIndex, bytes, keyStart, keyEnd, valueStart, valueEnd);
  }

  /** `engineKey` holds store id and key bytes. False when there is no such row. */
  find(storeIndex: number, engineKey: ByteWriter): boolean {
    if (this.rows > 0) {
      const idLength = this.storeIds[storeIndex].length;
      const exists = this.findInMemory(storeIndex, engineKey.buffer.toString("latin1", idLength, engineKey.position));
      if (exists !== undefined) return exists;
    }
    this.engineReads++;
    const value = this.engine.getSync(engineKey.buffer.subarray(0, engineKey.position));
    if (value === undefined) return false;
    this.foundBytes = value;
    this.foundStart = 0;
    this.foundEnd = value.length;
    return true;
  }

  /** As find(), by the latin1 string of the key bytes; undefined when memory does not know and the engine decides. */
  findInMemory(storeIndex: number, key: string): boolean | undefined {
    return this.#findIn(this.#table, storeIndex, key) ?? (this.#checkpointing && this.#findIn(this.#checkpointing, storeIndex, key));
  }

  /** Keys of rows in memory, deleted ones too; a key may come twice. */
  *keysInMemory(storeIndex: number): Iterable<string> {
    yield* this.#table.stores[storeIndex].keys();
    if (this.#checkpointing !== undefined) yield* this.#checkpointing.stores[storeIndex].keys();
  }

  #findIn(table: RowTable, storeIndex: number, key: string): boolean | undefined {
    const row = table.stores[storeIndex]?.get(key);
    if (row === undefined) return undefined;
    if (row.end < 0) return false;
    this.foundBytes = table.slabs[row.slab];
    this.foundStart = row.keyEnd;
    this.foundEnd = row.end;
    return true;
  }

  /** Moves all rows that are in memory now, and `positions`, into the engine in one atomic batch. One call at a time. */
  async checkpoint(positions: EngineOp): Promise<void> {
    const table = this.#table;
    this.#table = new RowTable(this.storeIds);
    this.#checkpointing = table;
    this.#engineIsEmpty = false; // a batch that fails may be there all the same
    try {
      await this.engine.batch(operations(table, positions));
    } catch (error) {
      this.#table.putOlder(table);
      this.#checkpointing = undefined;
      throw error;
    }
    this.#checkpointing = undefined;
    this.generation++;
  }
}

function* operations(table: RowTable, positions: EngineOp): Iterable<EngineOp> {
  const op: { key: Uint8Array; value: Uint8Array | undefined } = { key: EMPTY, value: undefined };
  for (const rows of table.stores) {
    for (const row of rows.values()) {
      const slab = table.slabs[row.slab];
      op.key = slab.subarray(row.start, row.keyEnd);
      op.value = row.end < 0 ? undefined : slab.subarray(row.keyEnd, row.end);
      yield op;
    }
  }
  yield positions;
}
