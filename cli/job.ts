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
