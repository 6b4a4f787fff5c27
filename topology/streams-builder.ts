/** Where a topology begins: sources, and then what KStream offers. */
import type { Serde } from "../state/serde.ts";
import type { StoreSpec } from "../state/store.ts";
import type { RecordColumns } from "./columns.ts";
import { TopologyError } from "./errors.ts";
import type { GraphNode, SourceNode } from "./graph.ts";
import { KStream } from "./kstream.ts";
import { Topology } from "./topology.ts";

export interface SourceOptions<K, V> {
  readonly key: Serde<K>;
  readonly value: Serde<V>;
  /** Default: `source-<topic>`. */
  readonly name?: string;
  /** What moves stream time. Default "record": the record's timestamp. */
  readonly streamTime?: "record" | "processor";
  /** Once per batch before its records are processed, e.g. to fetch schemas by id. A rejection stops the task. */
  readonly prepare?: (records: RecordColumns) => Promise<void> | undefined;
}

/**
 * @example
 * const builder = new StreamsBuilder();
 * builder.stream("readings", { key: serdes.string, value: serdes.json<Reading>() })
 *   .filter((reading) => reading.celsius > 30)
 *   .to("hot", { key: serdes.string, value: serdes.json<Reading>() });
 * const topology = builder.build();
 */
export class StreamsBuilder {
  readonly #nodes = new Map<string, GraphNode>();
  readonly #stores = new Map<string, StoreSpec<unknown>>();
  readonly #sourceTopics = new Set<string>();
  readonly #counters = new Map<string, number>();

  stream<K, V>(topic: string, options: SourceOptions<K, V>): KStream<K, V> {
    if (this.#sourceTopics.has(topic))
      throw new TopologyError("duplicate-name", `topic "${topic}" is read by a source already: use that stream twice`);
    this.#sourceTopics.add(topic);
    const { name = `source-${topic}`, key, value, streamTime = "record", prepare } = options;
    return this.addSource<K, V>({ kind: "source", name, topic, key, value, streamTime, prepare });
  }

  /** For KStream too. */
  addSource<K, V>(source: Omit<SourceNode, "children">): KStream<K, V> {
    const children: string[] = [];
    this.addNode({ ...source, children });
    return new KStream<K, V>(this, [children], false);
  }

  build(): Topology {
    return new Topology(new Map(this.#nodes));
  }

  /** For KStream: names are unique, and one store name means one declaration. */
  addNode(node: GraphNode): void {
    if (!/^[a-zA-Z0-9._-]+$/.test(node.name))
      throw new TopologyError("bad-name", `node name "${node.name}" may only hold letters, digits, ".", "_" and "-"`);
    if (this.#nodes.has(node.name)) throw new TopologyError("duplicate-name", `there is a node named "${node.name}" already`);
    if (node.kind === "processor") {
      for (const store of node.spec.stores ?? []) {
        const known = this.#stores.get(store.name);
        if (known !== undefined && known !== store)
          throw new TopologyError(
            "store-conflict",
            `two different stores are named "${store.name}": share one declaration, or name them apart`,
          );
        this.#stores.set(store.name, store);
      }
    }
    this.#nodes.set(node.name, node);
  }

  /** For KStream: `filter-1`, `filter-2`, ... in the order of the calls. */
  generateName(prefix: string): string {
    const count = (this.#counters.get(prefix) ?? 0) + 1;
    this.#counters.set(prefix, count);
    return `${prefix}-${count}`;
  }
}
