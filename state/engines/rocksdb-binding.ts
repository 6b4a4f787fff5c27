/**
 * The part of `@nxtedition/rocksdb` that we use. It is an optional dependency: prebuilt for linux-x64 (glibc) and
 * darwin-arm64. Of the bindings that install without a compiler it is the one with a synchronous get.
 */
import { StateError } from "../errors.ts";

const PACKAGE: string = "@nxtedition/rocksdb";

export interface RocksBatch {
  put(key: Uint8Array, value: Uint8Array): this;
  del(key: Uint8Array): this;
  /** Blocks the thread until the rows are written, and with `sync` until they are on disk. */
  write(options: { readonly sync: boolean }): Promise<void>;
  close(): Promise<void>;
}

export interface RocksIterator {
  nextv(size: number): Promise<[key: Buffer, value: Buffer][]>;
  close(): Promise<void>;
}

export interface RocksDb {
  /** Of the open database: another thread of this process makes a RocksDb of it. Dead once the database is closed. */
  readonly handle: bigint;
  open(options?: Readonly<Record<string, unknown>>): Promise<void>;
  /** Crashes the process on a database that is not open. */
  _getManySync(keys: readonly Uint8Array[]): (Buffer | undefined | null)[];
  /** Likewise. In a thread of the pool; closing waits for it. */
  _getManyAsync(
    keys: readonly Uint8Array[],
    options: Readonly<Record<string, unknown>>,
    callback: (error: Error | null, values: readonly (Buffer | undefined | null)[]) => void,
  ): void;
  iterator(options: Readonly<Record<string, unknown>>): RocksIterator;
  batch(): RocksBatch;
  close(): Promise<void>;
}

type RocksDbClass = new (
  locationOrHandle: string | bigint,
  encodings: { readonly keyEncoding: "buffer"; readonly valueEncoding: "buffer" },
) => RocksDb;

/** @throws StateError `engine-missing` when the package is not installed or has no binary for this platform. */
export async function loadRocksDb(): Promise<(locationOrHandle: string | bigint) => RocksDb> {
  let binding: { readonly default: { readonly RocksLevel: RocksDbClass } };
  try {
    binding = (await import(PACKAGE)) as typeof binding;
  } catch (error) {
    throw new StateError(
      "engine-missing",
      `state.engine rocksdb needs the optional package ${PACKAGE}, which cannot be loaded here (${process.platform}-${process.arch}): ` +
        "install it without --omit=optional, or set state.engine to level",
      error,
    );
  }
  const { RocksLevel } = binding.default;
  return (locationOrHandle) => new RocksLevel(locationOrHandle, { keyEncoding: "buffer", valueEncoding: "buffer" });
}
