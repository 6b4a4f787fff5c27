/**
 * Ids seen lately, per key: rows of one time bucket each, so that forgetting is deleting whole rows. Time is the
 * partition's receive time. An id is remembered for at least `retentionMs` and at most a bucket (a quarter) longer.
 */
import { ByteReader } from "../state/byte-reader.ts";
import { checkRowVersion } from "../state/row-format.ts";
import type { Serde } from "../state/serde.ts";
import { serdes } from "../state/serdes.ts";
import { KeysByStart } from "../topology/keys-by-start.ts";
import { windowStore, type StoreSpec, type WindowStore } from "../state/store.ts";

const BUCKETS = 4;

/** Of one key and bucket: keeps a row far below a log record's limit. The oldest go first. */
export const MAX_IDS_PER_BUCKET = 4_096;

/** Buckets dropped at one record: keeps a single record's work short. */
const MAX_DROPS = 64;

/** Id to the source offset that brought it. */
export type RecentIdsRow = Map<string, number>;

const VERSION = 1;
const reader = new ByteReader();

const rowSerde: Serde<RecentIdsRow> = {
  name: "recent-ids",
  write(row, out) {
    out.u8(VERSION);
    out.varint(row.size);
    for (const [id, offset] of row) {
      out.string(id);
      out.varint(offset);
    }
  },
  read(bytes, start, end) {
    reader.reset(bytes, start, end);
    checkRowVersion(reader.u8(), VERSION, "recent-ids row");
    const row: RecentIdsRow = new Map();
    for (let count = reader.varint(); count > 0; count--) {
      const id = reader.string();
      row.set(id, reader.varint());
    }
    reader.expectEnd();
    return row;
  },
};

export type RecentIdsStore = WindowStore<string, RecentIdsRow>;

export function recentIdsStore(name: string): StoreSpec<RecentIdsStore> {
  return windowStore<string, RecentIdsRow>({ name, key: serdes.string, value: rowSerde });
}

/** `reread`: the very record that brought the id, read again after a commit that did not finish (KAFKA-9891): no duplicate. */
export type IdVerdict = "new" | "duplicate" | "reread";

export class RecentIds {
  readonly #store: RecentIdsStore;
  readonly #retentionMs: number;
  readonly #bucketMs: number;
  readonly #buckets = new KeysByStart<string>();
  /** The rest of a bucket that is being forgotten. */
  #forgetting: { readonly start: number; readonly keys: Iterator<string> } | undefined;
  /** Ids that the record in hand brought itself: a second copy in the same batch is a duplicate. */
  readonly #fresh = new Set<string>();
  #freshOffset = -1;
  /** Ids forgotten early since the last takeEvicted(). */
  #evicted = 0;

  constructor(store: RecentIdsStore, retentionMs: number) {
    this.#store = store;
    this.#retentionMs = retentionMs;
    this.#bucketMs = Math.ceil(retentionMs / BUCKETS);
  }

  /** Finds the rows that were there before, for them to be forgotten in time. Ids are known without it. */
  index(): Promise<void> {
    return this.#store.scanStored((key, windowStart) => this.#buckets.add(key, windowStart));
  }

  /** @param now the partition's receive time, epoch ms */
  check(key: string, id: string, now: number, offset: number): IdVerdict {
    const time = Math.max(0, now);
    this.#forget(time);
    if (offset !== this.#freshOffset) {
      this.#fresh.clear();
      this.#freshOffset = offset;
    }
    const bucketMs = this.#bucketMs;
    const newest = Math.floor(time / bucketMs) * bucketMs;
    const oldest = Math.floor(Math.max(0, time - this.#retentionMs) / bucketMs) * bucketMs;
    for (let start = newest; start >= oldest; start -= bucketMs) {
      const seenAt = this.#store.fetch(key, start)?.get(id);
      if (seenAt !== undefined) return offset > seenAt || this.#fresh.has(id) ? "duplicate" : "reread";
    }
    this.#remember(key, id, newest, offset);
    return "new";
  }

  takeEvicted(): number {
    const evicted = this.#evicted;
    this.#evicted = 0;
    return evicted;
  }

  #remember(key: string, id: string, start: number, offset: number): void {
    let row = this.#store.fetch(key, start);
    if (row === undefined) {
      row = new Map();
      this.#buckets.add(key, start);
    } else if (row.size >= MAX_IDS_PER_BUCKET) {
      for (const oldest of row.keys()) {
        row.delete(oldest);
        this.#evicted++;
        break;
      }
    }
    row.set(id, Math.max(0, offset));
    this.#store.put(key, start, row);
    this.#fresh.add(id);
  }

  #forget(now: number): void {
    for (let dropped = 0; dropped < MAX_DROPS; dropped++) {
      if (this.#forgetting === undefined) {
        const start = this.#buckets.earliest;
        if (start + this.#bucketMs + this.#retentionMs > now) return;
        this.#forgetting = { start, keys: this.#buckets.takeEarliest().values() };
      }
      const next = this.#forgetting.keys.next();
      if (next.done === true) this.#forgetting = undefined;
      else this.#store.delete(next.value, this.#forgetting.start);
    }
  }
}
