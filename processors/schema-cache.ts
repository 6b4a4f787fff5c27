/** Schemas of framed input by id: fetched between batches, so that decoding a record never waits. */
import { setTimeout as delay } from "node:timers/promises";
import type { RecordColumns } from "../topology/columns.ts";
import { RegistryError } from "./errors.ts";
import { isFramed, type AvroDecoder, type SchemaSource } from "./framing.ts";

/** Schemas kept; above, the cache starts anew. */
const MAX_SCHEMAS = 10_000;

/** Ids fetched for one batch. A producer of made-up ids must not turn every record into a call; ids beyond are unknown for this batch. */
const MAX_FETCHES_PER_BATCH = 64;

/** How long "the registry does not know this id" is believed. ms. */
const UNKNOWN_TTL_MS = 30_000;

/** Tries before the task stops, and the pause before the second; it doubles. */
const MAX_ATTEMPTS = 5;
const RETRY_PAUSE_MS = 200;

/** Of Registry: what is needed here. */
export interface SchemaLookup {
  find(id: number): Promise<AvroDecoder | undefined>;
}

export class SchemaCache implements SchemaSource {
  readonly #registry: SchemaLookup;
  readonly #known = new Map<number, AvroDecoder>();
  /** Id to when the registry may be asked again. Wall clock: this is I/O, no record processing. */
  readonly #unknownUntil = new Map<number, number>();

  constructor(registry: SchemaLookup) {
    this.#registry = registry;
  }

  get(id: number): AvroDecoder | undefined {
    return this.#known.get(id);
  }

  /** The source's prepare hook. Rejects with a RegistryError when the registry stays away. */
  prepare(records: RecordColumns): Promise<void> | undefined {
    let missing: Set<number> | undefined;
    const { bytes, count, valueStarts, valueEnds } = records;
    for (let i = 0; i < count; i++) {
      const start = valueStarts[i];
      if (start < 0 || !isFramed(bytes, start, valueEnds[i])) continue;
      const id = bytes.readInt32BE(start + 1);
      if (this.#known.has(id) || (this.#unknownUntil.get(id) ?? 0) > Date.now()) continue;
      missing ??= new Set();
      if (missing.size < MAX_FETCHES_PER_BATCH) missing.add(id);
    }
    return missing === undefined ? undefined : this.#fetchAll(missing);
  }

  async #fetchAll(ids: ReadonlySet<number>): Promise<void> {
    await Promise.all([...ids].map((id) => this.#fetch(id)));
  }

  async #fetch(id: number): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        const decoder = await this.#registry.find(id);
        if (this.#known.size >= MAX_SCHEMAS) this.#known.clear();
        if (this.#unknownUntil.size >= MAX_SCHEMAS) this.#unknownUntil.clear();
        if (decoder === undefined) this.#unknownUntil.set(id, Date.now() + UNKNOWN_TTL_MS);
        else this.#known.set(id, decoder);
        return;
      } catch (error) {
        if (attempt === MAX_ATTEMPTS || !(error instanceof RegistryError) || !error.retriable) throw error;
        await delay(RETRY_PAUSE_MS * 2 ** (attempt - 1));
      }
    }
  }
}
