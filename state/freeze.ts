/** The steps of TaskState.freeze(): dirty rows to bytes, bytes to the changelog. */
import type { ByteWriter } from "./byte-writer.ts";
import type { CachedStore } from "./cached-store.ts";
import type { FrozenRows } from "./frozen-rows.ts";
import type { ObjectCache } from "./object-cache.ts";
import { ROW_FORMAT_VERSION } from "./row-format.ts";

/** Gets one changelog row of a freeze. `storeIndex` as in TaskState.storeNames; `valueStart` -1: deleted. Copy what is kept. */
export type EmitRow = (storeIndex: number, bytes: Buffer, keyStart: number, keyEnd: number, valueStart: number, valueEnd: number) => void;

/** Appends the store's dirty rows to `out`. */
export function encodeDirty(store: CachedStore<unknown>, frozen: FrozenRows, out: ByteWriter): void {
  const { entries, bounds } = frozen;
  const { value: serde } = store.spec;
  for (const entry of store.dirty) {
    const keyStart = out.position;
    store.writeKey(entry, out);
    const keyEnd = out.position;
    if (entry.present) {
      out.u8(ROW_FORMAT_VERSION);
      serde.write(entry.value, out);
      store.measured(out.position - keyStart);
    }
    entries.push(entry);
    bounds.push(keyStart, keyEnd, entry.present ? out.position : -1);
  }
}

/** Of the stores that have a changelog. */
export function emitRows(frozen: FrozenRows, buffer: Buffer, emit: EmitRow): void {
  const { entries, bounds } = frozen;
  let bound = 0;
  for (const entry of entries) {
    const { index, changelogged } = entry.owner;
    const keyStart = bounds[bound++];
    const keyEnd = bounds[bound++];
    const valueEnd = bounds[bound++];
    if (changelogged) emit(index, buffer, keyStart, keyEnd, valueEnd < 0 ? -1 : keyEnd, valueEnd);
  }
}

/** They are in flight from here on. */
export function markClean(frozen: FrozenRows, cache: ObjectCache): void {
  const { entries, bounds } = frozen;
  let bound = 0;
  for (const entry of entries) {
    const keyStart = bounds[bound];
    const end = Math.max(bounds[bound + 1], bounds[bound + 2]);
    bound += 3;
    entry.dirty = false;
    entry.frozen++;
    cache.resize(entry, end - keyStart);
  }
}
