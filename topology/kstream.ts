/** A stream of records in the making: each call adds a node and returns what flows out of it. */
import type { Serde } from "../state/serde.ts";
import { TopologyError } from "./errors.ts";
import type { ProcessorNode } from "./graph.ts";
import { KGroupedStream } from "./grouped-stream.ts";
import type { Outputs, ProcessorSpec } from "./processor.ts";
import { unnamedRepartitionTopic, type RepartitionOptions } from "./repartition.ts";
import * as stateless from "./stateless.ts";
import type { StreamsBuilder } from "./streams-builder.ts";

export interface SinkOptions<K, V> {
  readonly key: Serde<K>;
  readonly value: Serde<V>;
  /** Default: `sink-<topic>`. */
  readonly name?: string;
}

/** The streams that leave a processor, by output name. */
export type OutputStreams<O extends Outputs> = { readonly [N in keyof O]: KStream<O[N]["key"], O[N]["value"]> };

type Single<K, V> = { out: { key: K; value: V } };

export class KStream<K, V> {
  readonly #builder: StreamsBuilder;
  /** Child lists of the outputs this stream flows from; several after merge(). */
  readonly #upstream: readonly string[][];
  readonly #keyChanged: boolean;

  constructor(builder: StreamsBuilder, upstream: readonly string[][], keyChanged: boolean) {
    this.#builder = builder;
    this.#upstream = upstream;
    this.#keyChanged = keyChanged;
  }

  filter(predicate: (value: V, key: K) => boolean, name?: string): KStream<K, V> {
    return this.#add<K, V>("filter", name, () => new stateless.Filter(predicate), false);
  }

  /** Another key for the same value: what groups by it afterwards goes through a repartition topic. */
  selectKey<K2>(selector: (key: K, value: V) => K2, name?: string): KStream<K2, V> {
    return this.#add<K2, V>("selectKey", name, () => new stateless.MapRecords((key, value) => [selector(key, value), value]), true);
  }

  /** Changes the key: what groups by it afterwards goes through a repartition topic. */
  map<K2, V2>(mapper: (key: K, value: V) => readonly [K2, V2], name?: string): KStream<K2, V2> {
    return this.#add<K2, V2>("map", name, () => new stateless.MapRecords(mapper), true);
  }

  mapValues<V2>(mapper: (value: V, key: K) => V2, name?: string): KStream<K, V2> {
    return this.#add<K, V2>("mapValues", name, () => new stateless.MapValues(mapper), false);
  }

  flatMap<K2, V2>(mapper: (key: K, value: V) => Iterable<readonly [K2, V2]>, name?: string): KStream<K2, V2> {
    return this.#add<K2, V2>("flatMap", name, () => new stateless.FlatMap(mapper), true);
  }

  flatMapValues<V2>(mapper: (value: V, key: K) => Iterable<V2>, name?: string): KStream<K, V2> {
    return this.#add<K, V2>("flatMapValues", name, () => new stateless.FlatMapValues(mapper), false);
  }

  /** A look at each record as it passes; the action must not change it. */
  peek(action: (value: V, key: K) => void, name?: string): KStream<K, V> {
    return this.#add<K, V>("peek", name, () => new stateless.Peek(action), false);
  }

  /** The first predicate that holds decides; a record that none takes is dropped. */
  branch<N extends string>(
    predicates: Readonly<Record<N, (value: V, key: K) => boolean>>,
    name?: string,
  ): Readonly<Record<N, KStream<K, V>>> {
    const names = Object.keys(predicates) as N[];
    return this.process<Record<N, { key: K; value: V }>>({
      name: name ?? this.#builder.generateName("branch"),
      outputs: names,
      create: () => new stateless.Branch<K, V, N>(predicates),
    });
  }

  merge(other: KStream<K, V>): KStream<K, V> {
    return new KStream<K, V>(this.#builder, [...this.#upstream, ...other.#upstream], this.#keyChanged || other.#keyChanged);
  }

  process<O extends Outputs>(spec: ProcessorSpec<K, V, O>): OutputStreams<O> {
    const outputs = new Map<string, string[]>(spec.outputs.map((output) => [output, []]));
    this.#attach({ kind: "processor", name: spec.name, spec: spec as unknown as ProcessorNode["spec"], outputs });
    return Object.fromEntries(
      [...outputs].map(([output, children]) => [output, new KStream(this.#builder, [children], this.#keyChanged)]),
    ) as OutputStreams<O>;
  }

  /**
   * Sends the records through an internal topic, where murmur2 of the key names the partition; what is downstream is a
   * sub-topology with tasks of its own. Timestamps and headers go along. Records of one key stay in order as long as one
   * task wrote them; those of several tasks mix, which is what a window's grace is for.
   */
  repartition(options: RepartitionOptions<K, V>): KStream<K, V> {
    const { name, key, value, partitions } = options;
    if (partitions !== undefined && (!Number.isSafeInteger(partitions) || partitions < 1))
      throw new TopologyError("bad-partitions", `partitions must be a positive integer, not ${partitions}`);
    const [topic, repartition] = [unnamedRepartitionTopic(name), { name, partitions }];
    this.#attach({ kind: "sink", name: `${topic}-sink`, topic, key, value, repartition });
    return this.#builder.addSource<K, V>({ kind: "source", name: `${topic}-source`, topic, key, value, streamTime: "record", repartition });
  }

  /**
   * @param options of the repartition topic that a key changed upstream needs (else none is made). Stateful processors added
   * by process() are on their own: repartition() before them.
   */
  groupByKey(options?: RepartitionOptions<K, V>): KGroupedStream<K, V> {
    if (!this.#keyChanged) return new KGroupedStream<K, V>(this);
    if (options === undefined)
      throw new TopologyError("re-keyed", "the key was changed upstream: groupByKey needs the name and serdes of a repartition topic");
    return new KGroupedStream<K, V>(this.repartition(options));
  }

  /** By a new key, through a repartition topic. */
  groupBy<K2>(selector: (key: K, value: V) => K2, options: RepartitionOptions<K2, V>): KGroupedStream<K2, V> {
    return this.selectKey(selector, `${options.name}-key`).groupByKey(options);
  }

  /** Records go to the partition that murmur2 of the key names, as with Java clients; a null key goes to the task's own partition. */
  to(topic: string, options: SinkOptions<K, V>): void {
    this.#attach({
      kind: "sink",
      name: options.name ?? this.#builder.generateName(`sink-${topic}`),
      topic,
      key: options.key,
      value: options.value,
    });
  }

  #attach(node: Parameters<StreamsBuilder["addNode"]>[0]): void {
    this.#builder.addNode(node);
    for (const children of this.#upstream) children.push(node.name);
  }

  #add<K2, V2>(
    kind: string,
    name: string | undefined,
    create: ProcessorSpec<K, V, Single<K2, V2>>["create"],
    keyChanged: boolean,
  ): KStream<K2, V2> {
    const children: string[] = [];
    const spec: ProcessorSpec<K, V, Single<K2, V2>> = { name: name ?? this.#builder.generateName(kind), outputs: ["out"], create };
    this.#attach({
      kind: "processor",
      name: spec.name,
      spec: spec as unknown as ProcessorNode["spec"],
      outputs: new Map([["out", children]]),
    });
    return new KStream<K2, V2>(this.#builder, [children], this.#keyChanged || keyChanged);
  }
}
