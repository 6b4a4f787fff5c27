/** What a task's directory says about itself: meta rows in the engine, under store id 0. */
import { ByteReader } from "./byte-reader.ts";
import { ByteWriter } from "./byte-writer.ts";
import type { EngineOp, StateEngine } from "./engines/engine.ts";
import { StateError } from "./errors.ts";
import type { StoreSpec } from "./store.ts";

/** Of the engine's key layout and the meta rows. */
const LAYOUT_VERSION = 1;

const META_STORE_ID = 0;
/** Layout version and identity: written once. */
const IDENTITY_KEY = Buffer.from([META_STORE_ID, 1]);
/** Store names with their kinds and ids: written when a store is new. Ids are never given out again. */
const STORES_KEY = Buffer.from([META_STORE_ID, 2]);
/** Changelog positions and when they were written: with every checkpoint. */
const POSITIONS_KEY = Buffer.from([META_STORE_ID, 3]);

const KINDS: readonly StoreSpec<unknown>["kind"][] = ["key-value", "window"];

export interface StoreIdentity {
  readonly kind: StoreSpec<unknown>["kind"];
  /** From 1 on. */
  readonly id: number;
}

export interface TaskMeta {
  readonly identity: string;
  readonly stores: Map<string, StoreIdentity>;
  /** By store name: the next changelog offset to read. */
  readonly positions: Map<string, number>;
  /** Of the last checkpoint, wall clock, epoch ms; undefined before the first. */
  readonly writtenAtMs: number | undefined;
}

/** undefined for an empty engine. Throws `incompatible-schema` for a layout of another version, `corrupt-state` for broken rows. */
export function readMeta(engine: StateEngine): TaskMeta | undefined {
  const identityRow = engine.getSync(IDENTITY_KEY);
  if (identityRow === undefined) return undefined;
  const version = identityRow[0];
  if (version !== LAYOUT_VERSION) {
    throw new StateError("incompatible-schema", `the state has layout ${version}, and this version reads ${LAYOUT_VERSION}`);
  }
  try {
    const reader = new ByteReader();
    reader.reset(identityRow, 1, identityRow.length);
    const identity = reader.string();
    reader.expectEnd();
    const stores = readStores(engine.getSync(STORES_KEY), reader);
    const { positions, writtenAtMs } = readPositions(engine.getSync(POSITIONS_KEY), reader);
    return { identity, stores, positions, writtenAtMs };
  } catch (error) {
    if (error instanceof StateError && error.code !== "corrupt-row") throw error;
    throw new StateError("corrupt-state", "the state's own rows cannot be read", error);
  }
}

export function identityOp(identity: string): EngineOp {
  const out = new ByteWriter();
  out.u8(LAYOUT_VERSION);
  out.string(identity);
  return { key: IDENTITY_KEY, value: out.toBuffer() };
}

export function storesOp(stores: ReadonlyMap<string, StoreIdentity>): EngineOp {
  const out = new ByteWriter();
  out.varint(stores.size);
  for (const [name, { kind, id }] of stores) {
    out.string(name);
    out.u8(KINDS.indexOf(kind));
    out.varint(id);
  }
  return { key: STORES_KEY, value: out.toBuffer() };
}

export function positionsOp(positions: ReadonlyMap<string, number>, writtenAtMs: number): EngineOp {
  const out = new ByteWriter();
  out.svarint(writtenAtMs);
  out.varint(positions.size);
  for (const [name, position] of positions) {
    out.string(name);
    out.varint(position);
  }
  return { key: POSITIONS_KEY, value: out.toBuffer() };
}

/** The bytes that start a store's keys in the engine. A varint is prefix-free, so stores never mix. */
export function encodeStoreId(id: number): Buffer {
  const out = new ByteWriter(4);
  out.varint(id);
  return out.toBuffer();
}

function readStores(row: Buffer | undefined, reader: ByteReader): Map<string, StoreIdentity> {
  if (row === undefined) throw new StateError("corrupt-row", "the table of stores is missing");
  reader.reset(row, 0, row.length);
  const stores = new Map<string, StoreIdentity>();
  for (let left = reader.varint(); left > 0; left--) {
    const name = reader.string();
    const kind = KINDS[reader.u8()];
    if (kind === undefined) throw new StateError("corrupt-row", `store "${name}" is of no known kind`);
    stores.set(name, { kind, id: reader.varint() });
  }
  reader.expectEnd();
  return stores;
}

function readPositions(row: Buffer | undefined, reader: ByteReader): Pick<TaskMeta, "positions" | "writtenAtMs"> {
  const positions = new Map<string, number>();
  if (row === undefined) return { positions, writtenAtMs: undefined };
  reader.reset(row, 0, row.length);
  const writtenAtMs = reader.svarint();
  for (let left = reader.varint(); left > 0; left--) {
    const name = reader.string();
    positions.set(name, reader.varint());
  }
  reader.expectEnd();
  return { positions, writtenAtMs };
}
