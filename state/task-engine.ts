/** Opens a task's engine and makes sure that its content belongs to this task, layout and set of stores. */
import { MAX_CHECKPOINT_AGE_MS } from "./changelog.ts";
import { createEngine } from "./engines/create-engine.ts";
import type { EngineName, EngineOp, StateEngine } from "./engines/engine.ts";
import { StateError } from "./errors.ts";
import { engineRange, WHOLE_STORE } from "./key-range.ts";
import type { StoreSpec } from "./store.ts";
import { encodeStoreId, identityOp, readMeta, storesOp } from "./task-meta.ts";
import type { StoreIdentity, TaskMeta } from "./task-meta.ts";

/** Rows deleted in one batch when a store without a changelog is emptied. */
const CLEAR_ROWS = 1000;

export interface TaskEngineOptions {
  readonly directory: string;
  readonly engine: EngineName;
  readonly stores: readonly StoreSpec<unknown>[];
  readonly identity: string;
}

export interface OpenedTaskEngine {
  readonly engine: StateEngine;
  /** By store index. */
  readonly storeIds: readonly Buffer[];
  /** Of the last checkpoint. */
  readonly positions: ReadonlyMap<string, number>;
}

export async function openTaskEngine(options: TaskEngineOptions): Promise<OpenedTaskEngine> {
  const engine = createEngine(options.engine, options.directory);
  await engine.open();
  try {
    const meta = await readCurrentMeta(engine, options.identity);
    const stores = await registerStores(engine, options, meta);
    const storeIds = options.stores.map((spec) => encodeStoreId((stores.get(spec.name) as StoreIdentity).id));
    for (const [index, spec] of options.stores.entries()) {
      if (!spec.changelog) await clear(engine, storeIds[index]);
    }
    return { engine, storeIds, positions: meta?.positions ?? new Map<string, number>() };
  } catch (error) {
    await engine.close();
    throw error;
  }
}

/** undefined: a new directory, or one whose checkpoint is too old to build upon and was deleted. */
async function readCurrentMeta(engine: StateEngine, identity: string): Promise<TaskMeta | undefined> {
  const meta = readMeta(engine);
  if (meta === undefined) return undefined;
  if (meta.identity !== identity) {
    throw new StateError("incompatible-schema", `the state belongs to "${meta.identity}", not to "${identity}"`);
  }
  if (meta.writtenAtMs === undefined || Date.now() - meta.writtenAtMs <= MAX_CHECKPOINT_AGE_MS) return meta;
  await engine.destroy();
  await engine.open();
  return undefined;
}

async function registerStores(
  engine: StateEngine,
  options: TaskEngineOptions,
  meta: TaskMeta | undefined,
): Promise<ReadonlyMap<string, StoreIdentity>> {
  const stores = new Map(meta?.stores);
  let nextId = 1;
  for (const { id } of stores.values()) nextId = Math.max(nextId, id + 1);
  const ops: EngineOp[] = meta === undefined ? [identityOp(options.identity)] : [];
  const before = stores.size;
  for (const { name, kind } of options.stores) {
    const known = stores.get(name);
    if (known === undefined) stores.set(name, { kind, id: nextId++ });
    else if (known.kind !== kind)
      throw new StateError("incompatible-schema", `store "${name}" is a ${known.kind} store on disk, not a ${kind} store`);
  }
  if (meta === undefined || stores.size > before) ops.push(storesOp(stores));
  if (ops.length > 0) await engine.batch(ops);
  return stores;
}

/** A store without a changelog lives and dies with its worker: what an earlier one left does not fit the input position. */
async function clear(engine: StateEngine, storeId: Buffer): Promise<void> {
  for (;;) {
    const rows = await engine.read(engineRange(storeId, WHOLE_STORE, CLEAR_ROWS));
    const ops = rows.map(([key]): EngineOp => ({ key, value: undefined }));
    if (ops.length > 0) await engine.batch(ops);
    if (ops.length < CLEAR_ROWS) return;
  }
}
