/** The processors behind the stateless calls of KStream. */
import type { Output, Processor, ProcessorContext, StreamRecord } from "./processor.ts";

type Single<K, V> = { out: { key: K; value: V } };

abstract class SingleOutput<K, V, K2, V2> implements Processor<K, V, Single<K2, V2>> {
  protected out!: Output<K2, V2>;
  init(context: ProcessorContext<Single<K2, V2>>): void {
    this.out = context.output("out");
  }
  abstract process(record: StreamRecord<K, V>): void;
}

export class Filter<K, V> extends SingleOutput<K, V, K, V> {
  readonly #predicate: (value: V, key: K) => boolean;
  constructor(predicate: (value: V, key: K) => boolean) {
    super();
    this.#predicate = predicate;
  }
  process(record: StreamRecord<K, V>): void {
    if (this.#predicate(record.value, record.key)) this.out.forward(record);
  }
}

export class MapRecords<K, V, K2, V2> extends SingleOutput<K, V, K2, V2> {
  readonly #mapper: (key: K, value: V) => readonly [K2, V2];
  constructor(mapper: (key: K, value: V) => readonly [K2, V2]) {
    super();
    this.#mapper = mapper;
  }
  process(record: StreamRecord<K, V>): void {
    const [key, value] = this.#mapper(record.key, record.value);
    this.out.forward({ key, value, timestamp: record.timestamp, headers: record.headers });
  }
}

export class MapValues<K, V, V2> extends SingleOutput<K, V, K, V2> {
  readonly #mapper: (value: V, key: K) => V2;
  constructor(mapper: (value: V, key: K) => V2) {
    super();
    this.#mapper = mapper;
  }
  process(record: StreamRecord<K, V>): void {
    this.out.forward({
      key: record.key,
      value: this.#mapper(record.value, record.key),
      timestamp: record.timestamp,
      headers: record.headers,
    });
  }
}

export class FlatMap<K, V, K2, V2> extends SingleOutput<K, V, K2, V2> {
  readonly #mapper: (key: K, value: V) => Iterable<readonly [K2, V2]>;
  constructor(mapper: (key: K, value: V) => Iterable<readonly [K2, V2]>) {
    super();
    this.#mapper = mapper;
  }
  process(record: StreamRecord<K, V>): void {
    for (const [key, value] of this.#mapper(record.key, record.value))
      this.out.forward({ key, value, timestamp: record.timestamp, headers: record.headers });
  }
}

export class FlatMapValues<K, V, V2> extends SingleOutput<K, V, K, V2> {
  readonly #mapper: (value: V, key: K) => Iterable<V2>;
  constructor(mapper: (value: V, key: K) => Iterable<V2>) {
    super();
    this.#mapper = mapper;
  }
  process(record: StreamRecord<K, V>): void {
    for (const value of this.#mapper(record.value, record.key))
      this.out.forward({ key: record.key, value, timestamp: record.timestamp, headers: record.headers });
  }
}

export class Peek<K, V> extends SingleOutput<K, V, K, V> {
  readonly #action: (value: V, key: K) => void;
  constructor(action: (value: V, key: K) => void) {
    super();
    this.#action = action;
  }
  process(record: StreamRecord<K, V>): void {
    this.#action(record.value, record.key);
    this.out.forward(record);
  }
}

export class Branch<K, V, N extends string> implements Processor<K, V, Record<N, { key: K; value: V }>> {
  readonly #predicates: Readonly<Record<N, (value: V, key: K) => boolean>>;
  #arms: { matches: (value: V, key: K) => boolean; output: Output<K, V> }[] = [];
  constructor(predicates: Readonly<Record<N, (value: V, key: K) => boolean>>) {
    this.#predicates = predicates;
  }
  init(context: ProcessorContext<Record<N, { key: K; value: V }>>): void {
    const names = Object.keys(this.#predicates) as N[];
    this.#arms = names.map((name) => ({ matches: this.#predicates[name], output: context.output(name) }));
  }
  process(record: StreamRecord<K, V>): void {
    for (const arm of this.#arms) {
      if (!arm.matches(record.value, record.key)) continue;
      arm.output.forward(record);
      return;
    }
  }
}
