/** Committed rows that the engine does not have yet: the newest encoded version of each key. */

/** Rows live in slabs of this size (or of their own size when larger), so that a row is not an allocation. */
const SLAB_BYTES = 128 << 10;

/** What a row costs beside its bytes: the object, the map slot and the key string. An estimate, bytes. */
const ROW_OVERHEAD_BYTES = 144;

/** Tells the rows of one table from those of another without keeping the table alive. */
let tables = 0;

/** `[store id][key][value]` in a slab of its table. One object per key and table, changed in place. */
export interface TableRow {
  tableId: number;
  /** Index into RowTable.slabs: a row that someone still knows does not keep the slab of a table that is gone. */
  slab: number;
  start: number;
  keyEnd: number;
  /** -1: the row is deleted. */
  end: number;
  /** Where the room for the value ends. A newer version that fits is written over the older one. */
  limit: number;
}

export class RowTable {
  /** By store index; keys are the key bytes as a latin1 string, which compares as the bytes do. */
  readonly stores: readonly Map<string, TableRow>[];
  readonly slabs: Buffer[] = [];
  readonly #storeIds: readonly Buffer[];
  readonly #id = ++tables;
  /** Of rows that remove() took out, by store index: their room, for keys to come. */
  readonly #free: TableRow[][];
  #slab = Buffer.alloc(0);
  #slabPosition = 0;
  #rows = 0;
  #bytes = 0;

  /** `storeIds`: the encoded id that starts a store's keys in the engine, by store index. */
  constructor(storeIds: readonly Buffer[]) {
    this.#storeIds = storeIds;
    this.stores = storeIds.map(() => new Map<string, TableRow>());
    this.#free = storeIds.map(() => []);
  }

  get rows(): number {
    return this.#rows;
  }

  /** Memory held, an estimate. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Copies. `valueStart` -1: deleted. `known`: what the last put of this key returned, which saves the look-up. */
  put(
    storeIndex: number,
    bytes: Buffer,
    keyStart: number,
    keyEnd: number,
    valueStart: number,
    valueEnd: number,
    known?: TableRow,
  ): TableRow {
    let row = known;
    if (row === undefined || row.tableId !== this.#id) {
      const rows = this.stores[storeIndex];
      const name = bytes.toString("latin1", keyStart, keyEnd);
      row = rows.get(name);
      if (row === undefined) {
        row = this.#freeRow(storeIndex, bytes, keyStart, keyEnd) ?? {
          tableId: this.#id,
          slab: 0,
          start: 0,
          keyEnd: 0,
          end: -1,
          limit: -1, // no room yet, not even for a tombstone
        };
        rows.set(name, row);
        this.#rows++;
        this.#bytes += ROW_OVERHEAD_BYTES;
      }
    }
    const valueLength = valueStart < 0 ? 0 : valueEnd - valueStart;
    if (row.keyEnd + valueLength > row.limit) this.#makeRoom(row, storeIndex, bytes, keyStart, keyEnd, valueLength);
    if (valueLength > 0) bytes.copy(this.slabs[row.slab], row.keyEnd, valueStart, valueEnd);
    row.end = valueStart < 0 ? -1 : row.keyEnd + valueLength;
    return row;
  }

  /** As if the key had never been put; what put() returned for it is void. */
  remove(storeIndex: number, bytes: Buffer, keyStart: number, keyEnd: number): void {
    const rows = this.stores[storeIndex];
    const name = bytes.toString("latin1", keyStart, keyEnd);
    const row = rows.get(name);
    if (row === undefined) return;
    rows.delete(name);
    this.#rows--;
    this.#bytes -= ROW_OVERHEAD_BYTES;
    this.#free[storeIndex].push(row);
  }

  /** Takes over the rows of an older table, which must not be used after, where this one has no newer version. */
  putOlder(older: RowTable): void {
    const firstSlab = this.slabs.length;
    this.slabs.push(...older.slabs);
    for (const [index, rows] of older.stores.entries()) {
      const own = this.stores[index];
      for (const [name, row] of rows) {
        if (own.has(name)) continue;
        row.tableId = this.#id;
        row.slab += firstSlab;
        own.set(name, row);
        this.#rows++;
      }
    }
    this.#bytes += older.#bytes;
    // The slab that is filled must be the last one: begin a new one.
    this.#slab = Buffer.alloc(0);
    this.#slabPosition = 0;
  }

  /** One that remove() took out, its new key written, when there is one and it has room for that. */
  #freeRow(storeIndex: number, bytes: Buffer, keyStart: number, keyEnd: number): TableRow | undefined {
    const row = this.#free[storeIndex].pop();
    if (row === undefined) return undefined;
    const idLength = this.#storeIds[storeIndex].length;
    const end = row.start + idLength + (keyEnd - keyStart);
    if (end > row.limit) return undefined;
    bytes.copy(this.slabs[row.slab], row.start + idLength, keyStart, keyEnd);
    row.keyEnd = end;
    return row;
  }

  /** A place for the row in a slab, its key written. */
  #makeRoom(row: TableRow, storeIndex: number, bytes: Buffer, keyStart: number, keyEnd: number, valueLength: number): void {
    const storeId = this.#storeIds[storeIndex];
    // A little room to grow, for rows whose interval sets and sums get longer.
    const size = storeId.length + (keyEnd - keyStart) + valueLength + (valueLength >>> 3) + 8;
    if (this.#slabPosition + size > this.#slab.length) {
      this.#slab = Buffer.allocUnsafeSlow(Math.max(SLAB_BYTES, size));
      this.slabs.push(this.#slab);
      this.#slabPosition = 0;
    }
    const slab = this.#slab;
    const start = this.#slabPosition;
    for (let i = 0; i < storeId.length; i++) slab[start + i] = storeId[i];
    bytes.copy(slab, start + storeId.length, keyStart, keyEnd);
    row.slab = this.slabs.length - 1;
    row.start = start;
    row.keyEnd = start + storeId.length + (keyEnd - keyStart);
    row.limit = start + size;
    this.#slabPosition = row.limit;
    this.#bytes += size;
  }
}
