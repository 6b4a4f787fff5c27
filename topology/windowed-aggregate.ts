/** Tumbling aggregate by stream time, emitted once when a window closes. Rule: Kafka Streams' EmitStrategy.onWindowClose. */
import type { StoreSpec, WindowStore } from "../state/store.ts";
import type { AggregateOptions, TumblingWindows, Windowed } from "./grouped-stream.ts";
import { KeysByStart } from "./keys-by-start.ts";
import type { Output, Processor, ProcessorContext, StreamRecord } from "./processor.ts";

type Out<K, A> = { out: { key: Windowed<K>; value: A } };

export class WindowedAggregate<K, V, A> implements Processor<K, V, Out<K, A>> {
  readonly #spec: StoreSpec<WindowStore<K, A>>;
  readonly #windows: TumblingWindows;
  readonly #options: AggregateOptions<K, V, A>;
  #context!: ProcessorContext<Out<K, A>>;
  #store!: WindowStore<K, A>;
  #out!: Output<Windowed<K>, A>;
  readonly #open = new KeysByStart<K>();

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

  /** What is in a window does not depend on when it is found: a record is late by stream time alone. */
  async open(): Promise<void> {
    this.#context.inBackground(() => this.#store.scanStored((key, windowStart) => this.#open.add(key, windowStart)));
  }

  process(record: StreamRecord<K, V>): void {
    const { sizeMs, graceMs } = this.#windows;
    const start = Math.floor(record.timestamp / sizeMs) * sizeMs;
    if (start + sizeMs + graceMs <= this.#context.streamTime()) this.#context.count("dropped", "late");
    else {
      const before = this.#store.fetch(record.key, start);
      if (before === undefined) this.#open.add(record.key, start);
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

  #closeUpTo(streamTime: number): void {
    const { sizeMs, graceMs } = this.#windows;
    while (this.#open.earliest + sizeMs + graceMs <= streamTime) {
      const start = this.#open.earliest;
      for (const key of this.#open.takeEarliest()) {
        const value = this.#store.fetch(key, start);
        if (value === undefined) continue;
        this.#store.delete(key, start);
        this.#out.forward({ key: { key, start, end: start + sizeMs }, value, timestamp: start + sizeMs });
      }
    }
  }
}
