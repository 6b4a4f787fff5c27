/** Stores as processors see them, and the declarations a topology carries. */
import type { Serde } from "./serde.ts";

/**
 * Values are decoded objects shared with the cache. A processor may mutate what get() returned, and must then
 * put() it: put marks the row dirty, the commit encodes it once. A value that was mutated and not put is a bug.
 */
export interface KeyValueStore<K, V> {
  readonly name: string;
  get(key: K): V | undefined;
  put(key: K, value: V): void;
  delete(key: K): void;
  /** As get(). `known`: of an earlier call for the same key. */
  at(key: K, known: RowHandle<V> | undefined): RowHandle<V>;
  /** As put(), to the row that at() gave. */
  set(row: RowHandle<V>, value: V): void;
  /** The row will be asked for soon: if it is on disk it is read beside the processing. For Processor.readAhead(). */
  prefetch(key: K): void;
  /** All rows, uncommitted ones included, in key-byte order: each page costs a look at all changed rows. For tests and small stores. */
  scan(): AsyncIterable<readonly [K, V]>;
  /**
   * Each committed row once, as it is when visited, in no certain order: all that were there when the task was opened, except those
   * deleted since. Beside processing, a page at a time. What is visited may not be changed.
   */
  scanStored(visit: (key: K, value: V) => void): Promise<void>;
}

/**
 * Where a row was found. A processor that keeps it beside what else it knows of the key saves the look-up at the key's
 * next record. `value` is the row's until the next call to any store of the task; after that, ask at() again.
 */
export interface RowHandle<V> {
  /** Undefined when there is no row. */
  readonly value: V | undefined;
}

/** Rows keyed by (key, window start in epoch ms). Same ownership rule as KeyValueStore. */
export interface WindowStore<K, V> {
  readonly name: string;
  fetch(key: K, windowStart: number): V | undefined;
  put(key: K, windowStart: number, value: V): void;
  delete(key: K, windowStart: number): void;
  /** As fetch(). `known`: of an earlier call for the same key and window. */
  at(key: K, windowStart: number, known: RowHandle<V> | undefined): RowHandle<V>;
  /** As put(), to the row that at() gave. */
  set(row: RowHandle<V>, value: V): void;
  /** As KeyValueStore.prefetch(). */
  prefetch(key: K, windowStart: number): void;
  /** In (key bytes, window start) order. */
  scan(): AsyncIterable<{ readonly key: K; readonly windowStart: number; readonly value: V }>;
  /** As KeyValueStore.scanStored(). */
  scanStored(visit: (key: K, windowStart: number, value: V) => void): Promise<void>;
}

export interface StoreOptions<K, V> {
  /** `[a-zA-Z0-9._-]+`, unique in a topology; names the changelog `<applicationId>-<name>-changelog`. */
  readonly name: string;
  readonly key: Serde<K>;
  readonly value: Serde<V>;
  /** Default true. Without one the store lives and dies with its worker. */
  readonly changelog?: boolean;
  /** Default true. False for rows that are written once and seldom read: each leaves the object cache when it is committed. Key-value stores only. */
  readonly cached?: boolean;
  /** What queries get under other names, or under the store's own: a part of each value, undefined where there is none. Key-value stores only. */
  readonly views?: Readonly<Record<string, (value: V) => unknown>>;
}

/** `S` is the store a processor gets for it, so that a wrong store type does not compile. */
export interface StoreSpec<S> {
  readonly kind: "key-value" | "window";
  readonly name: string;
  readonly key: Serde<unknown>;
  readonly value: Serde<unknown>;
  readonly changelog: boolean;
  readonly cached: boolean;
  readonly views: Readonly<Record<string, (value: unknown) => unknown>>;
  /** Type-level only. */
  readonly __store?: S;
}

export function keyValueStore<K, V>(options: StoreOptions<K, V>): StoreSpec<KeyValueStore<K, V>> {
  return spec("key-value", options);
}

export function windowStore<K, V>(options: StoreOptions<K, V>): StoreSpec<WindowStore<K, V>> {
  return spec("window", options);
}

function spec<K, V, S>(kind: StoreSpec<S>["kind"], options: StoreOptions<K, V>): StoreSpec<S> {
  if (!/^[a-zA-Z0-9._-]+$/.test(options.name))
    throw new Error(`store name "${options.name}" may only hold letters, digits, ".", "_" and "-"`);
  return {
    kind,
    name: options.name,
    key: options.key,
    value: options.value,
    changelog: options.changelog ?? true,
    cached: options.cached ?? true,
    views: (options.views ?? {}) as StoreSpec<S>["views"],
  };
}

/** What queries get of a value of this store under a name; undefined when they do not find the store under it. */
export function viewOf(spec: StoreSpec<unknown>, name: string | undefined): ((value: unknown) => unknown) | undefined {
  if (name !== undefined && Object.hasOwn(spec.views, name)) return spec.views[name];
  return name === spec.name ? (value) => value : undefined;
}

/** The store that queries find under a name. */
export function storeNamed(stores: readonly StoreSpec<unknown>[], name: string | undefined): StoreSpec<unknown> | undefined {
  return stores.find((spec) => viewOf(spec, name) !== undefined);
}
