/** The graph a builder makes: nodes by name, edges as names. Plain data; `runtime/` gives it life. */
import type { Serde } from "../state/serde.ts";
import type { StoreSpec } from "../state/store.ts";
import type { RecordColumns } from "./columns.ts";
import type { Outputs, ProcessorSpec } from "./processor.ts";

/** A topic between two sub-topologies: one writes it, the other reads it, with the records partitioned by their new key. */
export interface Repartition {
  /** The application's topic is `<applicationId>-<name>-repartition`. */
  readonly name: string;
  /** Undefined: as many as the sources upstream have, or those it is read together with. */
  readonly partitions: number | undefined;
}

export interface SourceNode {
  readonly kind: "source";
  readonly name: string;
  readonly topic: string;
  readonly key: Serde<unknown>;
  readonly value: Serde<unknown>;
  /** "record": the record's timestamp moves stream time; "processor": a processor does, by observeEventTime. */
  readonly streamTime: "record" | "processor";
  /** Called once per batch before its records are processed. */
  readonly prepare?: (records: RecordColumns) => Promise<void> | undefined;
  /** Set: the topic is internal, and the headers of its records go with them. */
  readonly repartition?: Repartition;
  readonly children: string[];
}

export interface ProcessorNode {
  readonly kind: "processor";
  readonly name: string;
  readonly spec: ProcessorSpec<unknown, unknown, Outputs>;
  /** Children of each output, in the order they were attached. */
  readonly outputs: ReadonlyMap<string, string[]>;
}

export interface SinkNode {
  readonly kind: "sink";
  readonly name: string;
  readonly topic: string;
  readonly key: Serde<unknown>;
  readonly value: Serde<unknown>;
  /** Set: the topic is internal. */
  readonly repartition?: Repartition;
}

export type GraphNode = SourceNode | ProcessorNode | SinkNode;

export interface Edge {
  readonly from: string;
  readonly to: string;
  /** Of the `from` processor; undefined for sources. */
  readonly output?: string;
}

/** A repartition topic as a link from the sink that writes it to the source that reads it. */
export interface Link {
  readonly from: string;
  readonly to: string;
}

/** Nodes that share edges or stores: they run as one task per partition. */
export interface Subtopology {
  readonly id: number;
  readonly sources: readonly SourceNode[];
  readonly processors: readonly ProcessorNode[];
  readonly sinks: readonly SinkNode[];
  readonly stores: readonly StoreSpec<unknown>[];
}

export function edgesOf(nodes: Iterable<GraphNode>): Edge[] {
  const edges: Edge[] = [];
  for (const node of nodes) {
    if (node.kind === "source") for (const to of node.children) edges.push({ from: node.name, to });
    if (node.kind === "processor")
      for (const [output, children] of node.outputs) for (const to of children) edges.push({ from: node.name, to, output });
  }
  return edges;
}

export function linksOf(nodes: Iterable<GraphNode>): Link[] {
  const all = [...nodes];
  const readers = new Map(
    all.flatMap((node) => (node.kind === "source" && node.repartition !== undefined ? [[node.topic, node.name]] : [])),
  );
  return all.flatMap((node) => {
    const to = node.kind === "sink" && node.repartition !== undefined ? readers.get(node.topic) : undefined;
    return to === undefined ? [] : [{ from: node.name, to }];
  });
}
