import { buildTelemetryTopology } from "../../processors/telemetry-topology.ts";
import { commandContext, type CommonOptions } from "../command-options.ts";
import { EXIT } from "../exit-codes.ts";

export interface TopologyOptions extends CommonOptions {
  readonly format: "text" | "mermaid";
}

/** `sluice topology`: the job's graph with this configuration, without connecting anywhere. */
export function run(options: TopologyOptions): Promise<number> {
  const { config, output } = commandContext(options, { quietLevel: "warn" });
  const topology = buildTelemetryTopology(config);
  const text = options.format === "mermaid" ? topology.mermaid() : topology.describe();
  output.result(text.trimEnd(), {
    text: topology.describe(),
    mermaid: topology.mermaid(),
    nodes: [...topology.nodes.values()].map(({ name, kind }) => ({ name, kind })),
    edges: topology.edges,
  });
  return Promise.resolve(EXIT.ok);
}
