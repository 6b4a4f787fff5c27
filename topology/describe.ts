/** The topology for people: text like Kafka Streams' Topology#describe, and a Mermaid flowchart. */
import type { GraphNode } from "./graph.ts";
import type { Topology } from "./topology.ts";

export function describeText(topology: Topology): string {
  const lines: string[] = [];
  for (const subtopology of topology.subtopologies) {
    lines.push(`Sub-topology ${subtopology.id}`);
    for (const source of subtopology.sources) lines.push(`  Source ${source.name} (topic: ${source.topic}) --> ${list(source.children)}`);
    for (const processor of subtopology.processors) {
      const stores = (processor.spec.stores ?? []).map((store) => store.name);
      const outputs = [...processor.outputs].map(([output, children]) =>
        processor.outputs.size === 1 ? list(children) : `${output}: ${list(children)}`,
      );
      lines.push(`  Processor ${processor.name} (stores: [${stores.join(", ")}]) --> ${outputs.join("; ") || "none"}`);
    }
    for (const sink of subtopology.sinks) lines.push(`  Sink ${sink.name} (topic: ${sink.topic})`);
  }
  return lines.join("\n") + "\n";
}

export function describeMermaid(topology: Topology): string {
  const ids = new Map([...topology.nodes.keys()].map((name, index) => [name, `n${index}`]));
  const idOf = (name: string): string => ids.get(name) ?? slug(name);
  const lines = ["flowchart LR"];
  for (const subtopology of topology.subtopologies) {
    lines.push(`  subgraph sub${subtopology.id}[Sub-topology ${subtopology.id}]`);
    for (const node of [...subtopology.sources, ...subtopology.processors, ...subtopology.sinks])
      lines.push(`    ${idOf(node.name)}${shape(node)}`);
    for (const store of subtopology.stores) lines.push(`    s_${slug(store.name)}[(${quote(store.name)})]`);
    lines.push("  end");
    for (const processor of subtopology.processors)
      for (const store of processor.spec.stores ?? []) lines.push(`  ${idOf(processor.name)} -.- s_${slug(store.name)}`);
  }
  for (const edge of topology.edges) {
    const label = edge.output === undefined || edge.output === "out" ? "-->" : `-- ${slug(edge.output)} -->`;
    lines.push(`  ${idOf(edge.from)} ${label} ${idOf(edge.to)}`);
  }
  for (const link of topology.links) lines.push(`  ${idOf(link.from)} -.-> ${idOf(link.to)}`);
  return lines.join("\n") + "\n";
}

function shape(node: GraphNode): string {
  if (node.kind === "processor") return `[${quote(node.name)}]`;
  return node.kind === "source" ? `([${quote(node.topic)}])` : `[[${quote(node.topic)}]]`;
}

function list(names: readonly string[]): string {
  return names.length === 0 ? "none" : names.join(", ");
}

function quote(text: string): string {
  return `"${text.replaceAll('"', "'")}"`;
}

/** Mermaid ids and labels are picky about punctuation. */
function slug(text: string): string {
  return text.replaceAll(/[^a-zA-Z0-9_]/g, "_");
}
