/** Time-bounded deduplication over any key, for topologies of one's own. The idea is KIP-655's. */
import type { Processor, ProcessorContext, ProcessorSpec, StreamRecord, Output } from "../topology/processor.ts";
import { RecentIds, recentIdsStore, type RecentIdsStore } from "./recent-ids.ts";
import type { StoreSpec } from "../state/store.ts";

export interface DeduplicateOptions<V> {
  /** Names the processor and its store. */
  readonly name: string;
  /** What makes two records of one key the same; undefined passes the record on, counted as `deduplicate{without-id}`. */
  readonly id: (record: StreamRecord<string, V>) => string | undefined;
  /** How long an id is remembered, in receive time; at most a quarter longer. ms. */
  readonly retentionMs: number;
}

export type DeduplicateOutputs<V> = { unique: { key: string; value: V } };

/**
 * @example
 * const { unique } = orders.process(deduplicate({ name: "orders-once", id: (record) => record.value.orderId, retentionMs: 3_600_000 }));
 */
export function deduplicate<V>(options: DeduplicateOptions<V>): ProcessorSpec<string, V, DeduplicateOutputs<V>> {
  if (!(options.retentionMs > 0)) throw new RangeError(`retentionMs must be positive, not ${options.retentionMs}`);
  const store = recentIdsStore(options.name);
  return { name: options.name, outputs: ["unique"], stores: [store], create: () => new Deduplicate(options, store) };
}

class Deduplicate<V> implements Processor<string, V, DeduplicateOutputs<V>> {
  readonly #options: DeduplicateOptions<V>;
  readonly #store: StoreSpec<RecentIdsStore>;
  #context!: ProcessorContext<DeduplicateOutputs<V>>;
  #unique!: Output<string, V>;
  #ids!: RecentIds;

  constructor(options: DeduplicateOptions<V>, store: StoreSpec<RecentIdsStore>) {
    this.#options = options;
    this.#store = store;
  }

  init(context: ProcessorContext<DeduplicateOutputs<V>>): void {
    this.#context = context;
    this.#unique = context.output("unique");
    this.#ids = new RecentIds(context.store(this.#store), this.#options.retentionMs);
  }

  async open(): Promise<void> {
    this.#context.inBackground(() => this.#ids.index());
  }

  process(record: StreamRecord<string, V>): void {
    const id = this.#options.id(record);
    if (id === undefined) this.#context.count("deduplicate", "without-id");
    else {
      const verdict = this.#ids.check(record.key, id, this.#context.receiveTime(), this.#context.source.offset);
      const evicted = this.#ids.takeEvicted();
      if (evicted > 0) this.#context.count("deduplicate", "id-evicted", evicted);
      if (verdict === "duplicate") return this.#context.count("deduplicate", "duplicate");
    }
    this.#unique.forward(record);
  }
}
