/** A finished, immutable topology: the graph cut into sub-topologies. Made by StreamsBuilder.build(). */
import type { StoreSpec } from "../state/store.ts";
import { describeMermaid, describeText } from "./describe.ts";
import { TopologyError } from "./errors.ts";
import {
  edgesOf,
  linksOf,
  type Edge,
  type GraphNode,
  type Link,
  type ProcessorNode,
  type SinkNode,
  type SourceNode,
  type Subtopology,
} from "./graph.ts";
import { repartitionTopic } from "./repartition.ts";

export class Topology {
  readonly nodes: ReadonlyMap<string, GraphNode>;
  readonly edges: readonly Edge[];
  /** What crosses from one sub-topology into another. */
  readonly links: readonly Link[];
  readonly subtopologies: readonly Subtopology[];

  constructor(nodes: ReadonlyMap<string, GraphNode>) {
    if (nodes.size === 0) throw new TopologyError("empty", "the topology has no source");
    this.nodes = nodes;
    this.edges = edgesOf(nodes.values());
    this.links = linksOf(nodes.values());
    this.subtopologies = cut(nodes, this.edges);
  }

  /** Every source topic, in the order of the builder's calls. */
  get sourceTopics(): readonly string[] {
    return this.subtopologies.flatMap((subtopology) => subtopology.sources.map((source) => source.topic));
  }

  /** The same topology with its repartition topics named for an application, as they are in the log. */
  forApplication(applicationId: string): Topology {
    const named = [...this.nodes].map(([name, node]): [string, GraphNode] => {
      if (node.kind === "processor" || node.repartition === undefined) return [name, node];
      return [name, { ...node, topic: repartitionTopic(applicationId, node.repartition.name) }];
    });
    return new Topology(new Map(named));
  }

  /** Human-readable, stable: one line a node. */
  describe(): string {
    return describeText(this);
  }

  /** A Mermaid flowchart. */
  mermaid(): string {
    return describeMermaid(this);
  }
}

/** Union-find over edges and shared stores; ids follow the order of the first source. */
function cut(nodes: ReadonlyMap<string, GraphNode>, edges: readonly Edge[]): Subtopology[] {
  const parent = new Map<string, string>();
  const find = (name: string): string => {
    const up = parent.get(name) ?? name;
    return up === name ? name : find(up);
  };
  const union = (a: string, b: string): void => void parent.set(find(a), find(b));
  for (const edge of edges) union(edge.from, edge.to);
  const storeOwner = new Map<string, string>();
  for (const node of processors(nodes)) {
    for (const store of node.spec.stores ?? []) {
      const owner = storeOwner.get(store.name);
      if (owner === undefined) storeOwner.set(store.name, node.name);
      else union(owner, node.name);
    }
  }
  const parts = new Map<
    string,
    { sources: SourceNode[]; processors: ProcessorNode[]; sinks: SinkNode[]; stores: Map<string, StoreSpec<unknown>> }
  >();
  for (const node of nodes.values()) {
    const root = find(node.name);
    let part = parts.get(root);
    if (part === undefined) parts.set(root, (part = { sources: [], processors: [], sinks: [], stores: new Map() }));
    if (node.kind === "source") part.sources.push(node);
    else if (node.kind === "sink") part.sinks.push(node);
    else {
      part.processors.push(node);
      for (const store of node.spec.stores ?? []) part.stores.set(store.name, store);
    }
  }
  return [...parts.values()].map((part, id) => ({
    id,
    sources: part.sources,
    processors: part.processors,
    sinks: part.sinks,
    stores: [...part.stores.values()],
  }));
}

function processors(nodes: ReadonlyMap<string, GraphNode>): ProcessorNode[] {
  return [...nodes.values()].filter((node) => node.kind === "processor");
}
