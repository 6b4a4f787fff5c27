import { prepareSerdes, type JobSerdes } from "../processors/prepare-serdes.ts";
import { buildTelemetryTopology } from "../processors/telemetry-topology.ts";
import type { Topology } from "../topology/topology.ts";
import type { Config } from "./config/schema.ts";

export interface Job {
  readonly topology: Topology;
  readonly serdes: JobSerdes;
}

/** The job ready to run: with a schema registry configured, its schemas are registered and known before the first record. */
export async function prepareJob(config: Config): Promise<Job> {
  const serdes = await prepareSerdes(config);
  return { topology: buildTelemetryTopology(config, serdes), serdes };
}

/** The job whose outputs can be made again out of its input. Shadows cannot: what people wanted of a device is older than any retention. */
export function withoutShadow(config: Config): Config {
  return { ...config, shadow: { ...config.shadow, enabled: false } };
}

/** What `sluice reset` and `sluice replay` leave alone of the job's inputs. */
export function keptTopics({ shadow }: Config): readonly string[] {
  return shadow.enabled ? [shadow.updatesTopic] : [];
}
