/** A TaskState with the changelog that a runtime would keep for it. Plumbing only, no assertions. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { ByteReader } from "../../state/byte-reader.ts";
import type { EngineName } from "../../state/engines/engine.ts";
import type { FrozenRows } from "../../state/frozen-rows.ts";
import type { Serde } from "../../state/serde.ts";
import { serdes } from "../../state/serdes.ts";
import { keyValueStore, windowStore } from "../../state/store.ts";
import { TaskState } from "../../state/task-state.ts";
import type { TaskStateOptions } from "../../state/task-state.ts";

/** A mutable value, as ledgers and window sums are. */
export interface Counter {
  count: number;
  note: string;
}

export const counter = (count: number): Counter => ({ count, note: "n" });

const reader = new ByteReader();

export const counterSerde: Serde<Counter> = {
  name: "counter",
  write: (value, out) => {
    out.varint(value.count);
    out.string(value.note);
  },
  read: (bytes, start, end) => {
    reader.reset(bytes, start, end);
    const value = { count: reader.varint(), note: reader.string() };
    reader.expectEnd();
    return value;
  },
};

export const counters = keyValueStore<string, Counter>({ name: "counters", key: serdes.string, value: counterSerde });
export const windows = windowStore<string, Counter>({ name: "windows", key: serdes.string, value: counterSerde });
export const scratch = keyValueStore<string, string>({ name: "scratch", key: serdes.string, value: serdes.string, changelog: false });
export const specs = [counters, windows, scratch] as const;

interface ChangelogRecord {
  readonly key: Buffer;
  readonly value: Buffer | null;
}

interface Flight {
  readonly frozen: FrozenRows;
  readonly records: readonly (readonly [store: string, record: ChangelogRecord])[];
}

/** Changelogs by store; a freeze is in flight until commit() appends what it emitted. */
export class Harness {
  readonly options: TaskStateOptions;
  readonly changelogs = new Map<string, ChangelogRecord[]>(specs.map(({ name }) => [name, []]));
  #state: TaskState | undefined;
  #flights: Flight[] = [];

  constructor(options: Partial<TaskStateOptions> & { readonly directory: string }) {
    this.options = { engine: "level", stores: specs, cacheBytes: 1 << 20, identity: "app 0_0", ...options };
  }

  static async make(t: TestContext, engine: EngineName, options: Partial<TaskStateOptions> = {}): Promise<Harness> {
    const directory = await mkdtemp(join(tmpdir(), "sluice-state-"));
    const harness = new Harness({ directory, engine, ...options });
    t.after(async () => {
      await harness.close();
      await rm(directory, { recursive: true, force: true });
    });
    await harness.open();
    return harness;
  }

  get state(): TaskState {
    if (this.#state === undefined) throw new Error("not open");
    return this.#state;
  }

  get inFlight(): number {
    return this.#flights.length;
  }

  async open(options: Partial<TaskStateOptions> = {}): Promise<void> {
    this.#state = await TaskState.open({ ...this.options, ...options });
  }

  async close(): Promise<void> {
    await this.#state?.close();
    this.#state = undefined;
    this.#flights = [];
  }

  freeze(): FrozenRows {
    const records: [string, ChangelogRecord][] = [];
    const frozen = this.state.freeze((store, bytes, keyStart, keyEnd, valueStart, valueEnd) => {
      records.push([
        this.state.storeNames[store],
        {
          key: Buffer.from(bytes.subarray(keyStart, keyEnd)),
          value: valueStart < 0 ? null : Buffer.from(bytes.subarray(valueStart, valueEnd)),
        },
      ]);
    });
    this.#flights.push({ frozen, records });
    return frozen;
  }

  /** The oldest frozen set's transaction commits. */
  commitOldest(): void {
    const flight = this.#flights.shift();
    if (flight === undefined) throw new Error("nothing in flight");
    for (const [store, record] of flight.records) this.changelogs.get(store)?.push(record);
    this.state.committed(flight.frozen, this.endPositions());
  }

  commit(): void {
    this.freeze();
    while (this.#flights.length > 0) this.commitOldest();
  }

  rollback(): void {
    this.#flights = [];
    this.state.rollback();
  }

  endPositions(): Map<string, number> {
    return new Map(["counters", "windows"].map((name) => [name, this.changelogs.get(name)?.length ?? 0]));
  }

  /** Reads the changelogs from the checkpointed positions on, `bulk` records a flush, as a restore does. Returns how many were read. */
  async restore(bulk = 1_000): Promise<number> {
    let read = 0;
    for (const [name, records] of this.changelogs) {
      if (name === "scratch") continue;
      for (let at = this.state.checkpointPosition(name) ?? 0; at < records.length; at += bulk) {
        for (const { key, value } of records.slice(at, at + bulk)) {
          const bytes = value === null ? key : Buffer.concat([key, value]);
          this.state.restore(name, bytes, 0, key.length, value === null ? -1 : key.length, value === null ? -1 : bytes.length);
          read++;
        }
        if (at + bulk < records.length) await this.state.flushRestored(new Map([[name, at + bulk]]));
      }
    }
    this.state.restored(this.endPositions());
    return read;
  }

  /** As after kill -9: uncommitted and uncheckpointed rows are gone from memory, the engine is as it is on disk. */
  async crash(): Promise<void> {
    await this.close();
    await this.open();
  }
}

export async function counterRows(state: TaskState): Promise<string[]> {
  const rows: string[] = [];
  for await (const [key, value] of state.store(counters).scan()) rows.push(`${key}=${value.count}`);
  return rows;
}

export async function windowRows(state: TaskState): Promise<string[]> {
  const rows: string[] = [];
  for await (const { key, windowStart, value } of state.store(windows).scan()) rows.push(`${key}@${windowStart}=${value.count}`);
  return rows;
}
