/** Tumbling aggregate by stream time, emitted once when a window closes. Rule: Kafka Streams' EmitStrategy.onWindowClose. */
import type { StoreSpec, WindowStore } from "../state/store.ts";
import type { AggregateOptions, TumblingWindows, Windowed } from "./grouped-stream.ts";
import type { Output, Processor, ProcessorContext, StreamRecord } from "./processor.ts";

type Out<K, A> = { out: { key: Windowed<K>; value: A } };

export class WindowedAggregate<K, V, A> implements Processor<K, V, Out<K, A>> {
  readonly #spec: StoreSpec<WindowStore<K, A>>;
  readonly #windows: TumblingWindows;
  readonly #options: AggregateOptions<K, V, A>;
  #context!: ProcessorContext<Out<K, A>>;
  #store!: WindowStore<K, A>;
  #out!: Output<Windowed<K>, A>;
  /** Keys of each open window: the store has no order by time, and a close must not scan it. */
  readonly #open = new Map<number, Set<K>>();
  #earliestStart = Infinity;

  constructor(spec: StoreSpec<WindowStore<K, A>>, windows: TumblingWindows, options: AggregateOptions<K, V, A>) {
    this.#spec = spec;
    this.#windows = windows;
    this.#options = options;
  }

  init(context: ProcessorContext<Out<K, A>>): void {
    this.#context = context;
    this.#store = context.store(this.#spec);
    this.#out = context.output("out");
  }

  async open(): Promise<void> {
    this.#open.clear();
    this.#earliestStart = Infinity;
    for await (const row of this.#store.scan()) this.#remember(row.key, row.windowStart);
  }

  process(record: StreamRecord<K, V>): void {
    const { sizeMs, graceMs } = this.#windows;
    const start = Math.floor(record.timestamp / sizeMs) * sizeMs;
    if (start + sizeMs + graceMs <= this.#context.streamTime()) this.#context.count("dropped", "late");
    else {
      const before = this.#store.fetch(record.key, start);
      if (before === undefined) this.#remember(record.key, start);
      const aggregate = this.#options.add(
        record.key,
        record.value,
        before === undefined ? this.#options.initial() : before,
        record.timestamp,
      );
      this.#store.put(record.key, start, aggregate);
    }
    this.#closeUpTo(this.#context.streamTime());
  }

  #remember(key: K, start: number): void {
    let keys = this.#open.get(start);
    if (keys === undefined) this.#open.set(start, (keys = new Set()));
    keys.add(key);
    if (start < this.#earliestStart) this.#earliestStart = start;
  }

  #closeUpTo(streamTime: number): void {
    const { sizeMs, graceMs } = this.#windows;
    while (this.#earliestStart + sizeMs + graceMs <= streamTime) {
      const start = this.#earliestStart;
      const keys = this.#open.get(start) ?? new Set<K>();
      this.#open.delete(start);
      this.#earliestStart = Math.min(Infinity, ...this.#open.keys());
      for (const key of keys) {
        const value = this.#store.fetch(key, start);
        if (value === undefined) continue;
        this.#store.delete(key, start);
        this.#out.forward({ key: { key, start, end: start + sizeMs }, value, timestamp: start + sizeMs });
      }
    }
  }
}
