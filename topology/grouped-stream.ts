/** Grouping and windowed aggregation: `stream.groupByKey().windowedBy(...).aggregate(...)`. */
import type { Serde } from "../state/serde.ts";
import { windowStore } from "../state/store.ts";
import { TopologyError } from "./errors.ts";
import type { KStream } from "./kstream.ts";
import { WindowedAggregate } from "./windowed-aggregate.ts";

export interface TumblingWindows {
  readonly type: "tumbling";
  readonly sizeMs: number;
  /** How long after its end a window still takes records, in stream time. */
  readonly graceMs: number;
}

/** A key in one window; `end` is exclusive. Epoch ms. */
export interface Windowed<K> {
  readonly key: K;
  readonly start: number;
  readonly end: number;
}

export interface AggregateOptions<K, V, A> {
  /** Names the processor and its store. */
  readonly name: string;
  readonly key: Serde<K>;
  readonly value: Serde<A>;
  initial(): A;
  /** Returns the new aggregate; it may be the old object, changed. */
  add(key: K, value: V, aggregate: A, timestamp: number): A;
}

export class KGroupedStream<K, V> {
  readonly #stream: KStream<K, V>;
  constructor(stream: KStream<K, V>) {
    this.#stream = stream;
  }
  windowedBy(windows: TumblingWindows): TimeWindowedKStream<K, V> {
    if (!Number.isSafeInteger(windows.sizeMs) || windows.sizeMs <= 0)
      throw new TopologyError("bad-window", `sizeMs must be a positive integer, not ${windows.sizeMs}`);
    if (!Number.isSafeInteger(windows.graceMs) || windows.graceMs < 0)
      throw new TopologyError("bad-window", `graceMs must be 0 or a positive integer, not ${windows.graceMs}`);
    return new TimeWindowedKStream<K, V>(this.#stream, windows);
  }
}

export class TimeWindowedKStream<K, V> {
  readonly #stream: KStream<K, V>;
  readonly #windows: TumblingWindows;
  constructor(stream: KStream<K, V>, windows: TumblingWindows) {
    this.#stream = stream;
    this.#windows = windows;
  }

  /**
   * One record per window, when stream time passes its end plus grace (emit on close). A record for a closed
   * window is dropped and counted as `dropped{late}`.
   */
  aggregate<A>(options: AggregateOptions<K, V, A>): KStream<Windowed<K>, A> {
    const store = windowStore<K, A>({ name: options.name, key: options.key, value: options.value });
    return this.#stream.process<{ out: { key: Windowed<K>; value: A } }>({
      name: options.name,
      outputs: ["out"],
      stores: [store],
      create: () => new WindowedAggregate(store, this.#windows, options),
    }).out;
  }

  count(options: { name: string; key: Serde<K>; value: Serde<number> }): KStream<Windowed<K>, number> {
    return this.aggregate<number>({ ...options, initial: () => 0, add: (_key, _value, count) => count + 1 });
  }
}
