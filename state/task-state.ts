/** The stores of one task: their cache, the commit and checkpoint steps of the design's section 5, and committed reads. */
import { ByteWriter } from "./byte-writer.ts";
import { unknownStore } from "./cached-store.ts";
import type { CachedStore, StoreHome } from "./cached-store.ts";
import { CommittedRows } from "./committed-rows.ts";
import { createEngine } from "./engines/create-engine.ts";
import type { EngineName } from "./engines/engine.ts";
import { StateError } from "./errors.ts";
import { emitRows, encodeDirty, markClean } from "./freeze.ts";
import type { EmitRow } from "./freeze.ts";
import { FrozenRows } from "./frozen-rows.ts";
import { CachedKeyValueStore } from "./key-value-store.ts";
import { boundedRange } from "./key-range.ts";
import type { KeyRange } from "./key-range.ts";
import { ObjectCache } from "./object-cache.ts";
import type { Entry } from "./object-cache.ts";
import { PAGE_ROWS, readPage } from "./row-page.ts";
import { committedRows, committedValue } from "./scan-store.ts";
import { viewOf } from "./store.ts";
import type { StoreSpec } from "./store.ts";
import { positionsOp } from "./task-meta.ts";
import { openTaskEngine } from "./task-engine.ts";
import { CachedWindowStore } from "./window-store.ts";
import type { WindowKey } from "./window-store.ts";

export interface TaskStateOptions {
  /** Of this task alone; made if absent. Ignored by the memory engine. */
  readonly directory: string;
  readonly engine: EngineName;
  readonly stores: readonly StoreSpec<unknown>[];
  /** For the decoded objects of all stores of the task; dirty rows may go above it until the next commit. */
  readonly cacheBytes: number;
  /** Application id and task id: written on first open and checked after; another one is `incompatible-schema`. */
  readonly identity: string;
}

export interface StoreStats {
  readonly name: string;
  readonly cachedRows: number;
  readonly dirtyRows: number;
  /** Estimate. */
  readonly cachedBytes: number;
  readonly hits: number;
  readonly misses: number;
  readonly evictions: number;
}

/** Eight times what some thousand rows take. */
const READ_AHEAD_CACHE_BYTES = 16 << 20;

/** Buffers kept for the next commits: as many as are in flight at once with room for one more. */
const POOLED_WRITERS = 3;

/** A larger buffer, from one large commit, is not kept. */
const POOLED_WRITER_BYTES = 8 << 20;

/** Rows looked at for eviction after a commit, for each row that the commit made clean. */
const SWEEP_PER_COMMITTED_ROW = 2;

/**
 * Not for concurrent use with one exception: everything synchronous may be called while a checkpoint() is under way.
 * After close() everything fails with `closed`.
 */
export class TaskState implements StoreHome {
  /** Names by the store index that freeze() emits, in the order of the options. */
  readonly storeNames: readonly string[];
  readonly rows: CommittedRows;
  readonly cache: ObjectCache;
  dirtyBytes = 0;
  readonly #stores: readonly CachedStore<unknown>[];
  readonly #byName = new Map<string, CachedStore<unknown>>();
  readonly #writers: ByteWriter[] = [];
  /** Frozen and not committed, oldest first. */
  #frozen: FrozenRows[] = [];
  /** Changelog offsets that the committed rows stand for, and those of the engine. */
  readonly #positions: Map<string, number>;
  #checkpointed: ReadonlyMap<string, number>;
  /** The last checkpoint asked for, while it is under way. */
  #checkpointing: Promise<void> | undefined;
  #open = true;

  static async open(options: TaskStateOptions): Promise<TaskState> {
    const { engine, storeIds, positions } = await openTaskEngine(options);
    return new TaskState(options, new CommittedRows(engine, storeIds, positions.size === 0), positions);
  }

  /** Deletes the data of a task that is not open, e.g. after open() failed with `corrupt-state`. */
  static async wipeDirectory(directory: string, engine: EngineName): Promise<void> {
    await createEngine(engine, directory).destroy();
  }

  private constructor(options: TaskStateOptions, rows: CommittedRows, positions: ReadonlyMap<string, number>) {
    this.storeNames = options.stores.map((spec) => spec.name);
    this.rows = rows;
    this.cache = new ObjectCache(options.cacheBytes);
    this.#positions = new Map(positions);
    this.#checkpointed = positions;
    this.#stores = options.stores.map((spec, index) =>
      spec.kind === "window" ? new CachedWindowStore(index, spec, this) : new CachedKeyValueStore(index, spec, this),
    );
    for (const store of this.#stores) this.#byName.set(store.name, store);
  }

  /** Look-ups so far that went past all rows in memory. */
  get engineReads(): number {
    return this.rows.engineReads;
  }

  /** In a smaller cache the rows of the records before would push out what was read ahead. */
  get canReadAhead(): boolean {
    return this.cache.maxBytes >= READ_AHEAD_CACHE_BYTES;
  }

  /** Reads what was asked for by prefetch() of the stores; the rows come into the cache between two turns of the event loop. */
  startReadAhead(): void {
    if (this.#open) this.rows.readAhead.start();
  }

  get isOpen(): boolean {
    return this.#open;
  }

  /** The same instance each time. */
  store<S>(spec: StoreSpec<S>): S {
    return this.#named(spec.name) as unknown as S;
  }

  /** Next changelog offset that the engine's rows do not include; undefined when nothing is checkpointed. */
  checkpointPosition(storeName: string): number | undefined {
    return this.#checkpointed.get(storeName);
  }

  /** A row from the changelog, copied; the newest of a key wins. Before processing only. `valueStart` -1: a tombstone. */
  restore(storeName: string, bytes: Buffer, keyStart: number, keyEnd: number, valueStart: number, valueEnd: number): void {
    this.rows.restore(this.#named(storeName).index, bytes, keyStart, keyEnd, valueStart, valueEnd);
  }

  /** Memory held by restored rows that are not flushed. */
  get restoredBytes(): number {
    return this.rows.bytes;
  }

  /** The restored rows stand for `positions` (next changelog offset by store); as committed ones they wait for a checkpoint. */
  restored(positions: ReadonlyMap<string, number>): void {
    if (this.dirtyRows > 0 || this.#frozen.length > 0) throw new Error("restore and processing do not mix: there are uncommitted rows");
    this.#forgetCached();
    this.#advance(positions);
  }

  /** Writes the restored rows and `positions` to the engine in one atomic batch. */
  async flushRestored(positions: ReadonlyMap<string, number>): Promise<void> {
    this.restored(positions);
    await this.checkpoint();
  }

  /**
   * Commit N: encodes every dirty row once, gives the changelogged ones to `emit`, and marks them clean; processing may
   * mutate values right after. Several sets may be in flight. When a serde or `emit` throws, nothing was frozen.
   */
  freeze(emit: EmitRow): FrozenRows {
    this.assertOpen();
    const out = this.#writers.pop() ?? new ByteWriter();
    out.reset();
    const frozen = new FrozenRows(out);
    for (const store of this.#stores) encodeDirty(store, frozen, out);
    emitRows(frozen, out.buffer, emit);
    markClean(frozen, this.cache);
    for (const store of this.#stores) store.dirty = [];
    this.dirtyBytes = 0;
    this.#frozen.push(frozen);
    return frozen;
  }

  /**
   * The transaction of `frozen`, the oldest in flight, committed: its rows wait in memory for the next checkpoint.
   * `positions`: next changelog offset by store. The bytes that freeze() emitted are reused from here on.
   */
  committed(frozen: FrozenRows, positions: ReadonlyMap<string, number>): void {
    const { out, entries, bounds } = frozen;
    if (out === undefined || this.#frozen[0] !== frozen)
      throw new Error("committed() goes by the order of freeze(), once each, and not after a rollback");
    this.#frozen.shift();
    frozen.out = undefined;
    const { buffer } = out;
    let bound = 0;
    for (const entry of entries) {
      const keyStart = bounds[bound++];
      const keyEnd = bounds[bound++];
      const valueEnd = bounds[bound++];
      entry.row = this.rows.put(entry.owner.index, buffer, keyStart, keyEnd, valueEnd < 0 ? -1 : keyEnd, valueEnd, entry.row);
      entry.frozen--;
      this.#stores[entry.owner.index].settled(entry);
    }
    this.#advance(positions);
    this.cache.sweep(entries.length * SWEEP_PER_COMMITTED_ROW);
    if (this.#writers.length < POOLED_WRITERS && buffer.length <= POOLED_WRITER_BYTES) this.#writers.push(out);
  }

  /**
   * Drops all uncommitted changes: dirty rows and every frozen set. The whole cache goes with them, because a processor
   * that failed may have mutated a value that it did not put.
   */
  rollback(): void {
    for (const frozen of this.#frozen) frozen.out = undefined;
    this.#frozen = [];
    this.#forgetCached();
  }

  get dirtyRows(): number {
    let rows = 0;
    for (const store of this.#stores) rows += store.dirty.length;
    return rows;
  }

  /** Memory held by committed rows that are not checkpointed: the caller bounds it by calling checkpoint(). */
  get uncheckpointedBytes(): number {
    return this.rows.bytes;
  }

  /** Writes what is committed to the engine in one atomic batch. A call during another one runs after it. */
  async checkpoint(): Promise<void> {
    this.assertOpen();
    const once = (): Promise<void> => this.#checkpointOnce();
    const run = this.#checkpointing === undefined ? once() : this.#checkpointing.then(once, once);
    this.#checkpointing = run;
    try {
      await run;
    } finally {
      if (this.#checkpointing === run) this.#checkpointing = undefined;
    }
  }

  /** The committed value, a fresh object; undefined when there is none. The key of a window store is a WindowKey. */
  async getCommitted(storeName: string, key: unknown): Promise<unknown> {
    this.assertOpen();
    const { store, view } = this.#read(storeName);
    const found = committedValue(store, { key: queryKey(store, key), engineValue: undefined }, -1);
    return found && view(found.value);
  }

  /**
   * Committed rows in key-byte order as `[key, value]`, fresh objects. `prefix`: a key value (without a window start in
   * a window store too) whose bytes the keys begin with; `from` (inclusive) and `to` (exclusive): likewise, where the keys
   * lie between. `after`: a row's key, as the last one of the page before.
   */
  async scanCommitted(
    storeName: string,
    options: {
      readonly prefix?: unknown;
      readonly from?: unknown;
      readonly to?: unknown;
      readonly after?: unknown;
      readonly limit: number;
    },
  ): Promise<readonly (readonly [unknown, unknown])[]> {
    this.assertOpen();
    const { store, view } = this.#read(storeName);
    const keyBytes = (key: unknown): string | undefined => (key === undefined ? undefined : plainKey(store, key));
    const range = boundedRange({
      prefix: keyBytes(options.prefix) ?? "",
      from: keyBytes(options.from),
      to: keyBytes(options.to),
      after: options.after === undefined ? undefined : queryKey(store, options.after),
    });
    return this.#readRange(store, view, range, options.limit);
  }

  /** Committed windows of a key that start in [from, to), oldest first, as `[windowStart, value]`, fresh objects. Epoch ms. */
  async fetchCommitted(
    storeName: string,
    key: unknown,
    options: { readonly from: number; readonly to: number; readonly limit: number },
  ): Promise<readonly (readonly [number, unknown])[]> {
    this.assertOpen();
    const { store, view } = this.#read(storeName);
    if (store.spec.kind !== "window") throw new StateError("incompatible-schema", `store "${storeName}" has no windows`);
    const [from, to] = [options.from, options.to].map((windowStart) => queryKey(store, { key, windowStart }));
    if (to <= from) return [];
    const rows = await this.#readRange(store, view, boundedRange({ prefix: "", from, to }), options.limit);
    return rows.map(([row, value]) => [(row as WindowKey).windowStart, value] as const);
  }

  async #readRange(
    store: CachedStore<unknown>,
    view: (value: unknown) => unknown,
    from: KeyRange,
    limit: number,
  ): Promise<readonly (readonly [unknown, unknown])[]> {
    const inMemory = committedRows(store);
    const result: [unknown, unknown][] = [];
    let range: KeyRange | undefined = from;
    while (range !== undefined && result.length < limit) {
      const page = await readPage(this.rows, store.index, inMemory, range, Math.min(PAGE_ROWS, limit - result.length));
      this.assertOpen();
      for (const row of page.rows) {
        const found = committedValue(store, row, page.generation);
        const value = found && view(found.value);
        if (value === undefined) continue;
        const keyBytes = Buffer.from(row.key, "latin1");
        result.push([store.readQueryKey(keyBytes, 0, keyBytes.length), value]);
      }
      range = page.rest;
    }
    return result;
  }

  stats(): readonly StoreStats[] {
    return this.#stores.map(({ name, cachedRows, dirty, cachedBytes, hits, misses, evictions }) => ({
      name,
      cachedRows,
      dirtyRows: dirty.length,
      cachedBytes,
      hits,
      misses,
      evictions,
    }));
  }

  /** Waits for a checkpoint under way, and makes none. */
  async close(): Promise<void> {
    await this.#shut();
    await this.rows.engine.close();
  }

  /** Closes and deletes the engine's data; open() starts anew. */
  async wipe(): Promise<void> {
    await this.#shut();
    await this.rows.engine.destroy();
  }

  assertOpen(): void {
    if (!this.#open) throw new StateError("closed", "the task's state is closed");
  }

  *frozenEntries(storeIndex: number): Iterable<Entry> {
    for (const { entries } of this.#frozen) {
      for (const entry of entries) if (entry.owner.index === storeIndex) yield entry;
    }
  }

  async #checkpointOnce(): Promise<void> {
    const positions = new Map(this.#positions);
    let moved = false;
    for (const [name, position] of positions) moved ||= this.#checkpointed.get(name) !== position;
    if (this.rows.rows === 0 && !moved) return;
    await this.rows.checkpoint(positionsOp(positions, Date.now()));
    this.#checkpointed = positions;
  }

  /** New calls fail from here on; a checkpoint under way ends first, and its own caller hears of its error. */
  async #shut(): Promise<void> {
    this.#open = false;
    this.rollback();
    if (this.#checkpointing !== undefined) await Promise.allSettled([this.#checkpointing]);
    await this.rows.readAhead.settled();
  }

  #advance(positions: ReadonlyMap<string, number>): void {
    for (const [name, position] of positions) this.#positions.set(name, position);
  }

  #forgetCached(): void {
    for (const store of this.#stores) {
      store.dirty = [];
      store.forgetAll();
    }
    this.cache.clear();
    this.dirtyBytes = 0;
  }

  /** By the store's name or that of one of its views. */
  #read(name: string): { store: CachedStore<unknown>; view: (value: unknown) => unknown } {
    for (const store of this.#stores) {
      const view = viewOf(store.spec, name);
      if (view !== undefined) return { store, view };
    }
    throw unknownStore(name);
  }

  #named(name: string): CachedStore<unknown> {
    const store = this.#byName.get(name);
    if (store === undefined) throw unknownStore(name);
    return store;
  }
}

function queryKey(store: CachedStore<unknown>, key: unknown): string {
  const out = new ByteWriter(64);
  store.writeQueryKey(key, out);
  return out.buffer.toString("latin1", 0, out.position);
}

/** Without a window start, in a window store too. */
function plainKey(store: CachedStore<unknown>, key: unknown): string {
  const out = new ByteWriter(64);
  store.spec.key.write(key, out);
  return out.buffer.toString("latin1", 0, out.position);
}
