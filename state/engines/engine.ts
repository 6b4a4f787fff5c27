/** What a store engine must do. Every engine passes `test/contract/state-engine.contract.ts`. */

/** `state.engine`. `rocksdb` needs an optional package (see rocksdb-binding.ts); `memory` is empty after a restart. */
export type EngineName = "level" | "rocksdb" | "memory";

/** A value of undefined deletes the key. */
export interface EngineOp {
  readonly key: Uint8Array;
  readonly value: Uint8Array | undefined;
}

export interface EngineRange {
  /** Inclusive. */
  readonly from?: Uint8Array;
  /** Exclusive; wins over `from`. */
  readonly after?: Uint8Array;
  /** Exclusive. */
  readonly to?: Uint8Array;
  /** Rows; the caller bounds what one answer may hold in memory. */
  readonly limit: number;
}

export type EngineRow = readonly [key: Buffer, value: Buffer];

/**
 * Ordered bytes to bytes. open() once, then anything, then close() once. Calls on an engine that is not open fail with
 * `closed`. Other errors: `locked` and `engine-missing` (open), `corrupt-state`, `engine` (disk full, permissions, ...).
 */
export interface StateEngine {
  open(): Promise<void>;
  getSync(key: Uint8Array): Buffer | undefined;
  /** In the order of the keys, beside this thread where the engine can. Each value as of some moment during the call. */
  getMany(keys: readonly Uint8Array[]): Promise<readonly (Buffer | undefined)[]>;
  /**
   * All or nothing, on disk when it resolves, also after a power loss. The operations may share one object that
   * changes between steps of the iteration; their bytes must stay as they are until the call settles. One call at a time.
   */
  batch(ops: Iterable<EngineOp>): Promise<void>;
  /**
   * The first `limit` rows of the range in byte order of the keys, as of one moment: a batch is seen wholly or not at all.
   * Fewer than `limit` mean that the range has no more.
   */
  read(range: EngineRange): Promise<readonly EngineRow[]>;
  close(): Promise<void>;
  /** Deletes the data for good; closes first when open. `locked` when another process has it. */
  destroy(): Promise<void>;
}
