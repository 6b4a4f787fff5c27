/** How many partitions each sub-topology has. Rule: Kafka Streams' repartition topics and its co-partitioning. */
import type { Subtopology } from "../topology/graph.ts";
import type { Topology } from "../topology/topology.ts";
import { RuntimeError } from "./errors.ts";

/**
 * By sub-topology id. All sources of one must agree (co-partitioning); a repartition topic without a number of its own takes
 * that of the topics it is read together with, else the largest of the sub-topologies that write it.
 *
 * @param partitionCount of a topic that is not internal
 * @throws RuntimeError `topology-mismatch`
 */
export async function countPartitions(topology: Topology, partitionCount: (topic: string) => Promise<number>): Promise<number[]> {
  const counts = new Map<number, number>();
  for (const subtopology of topology.subtopologies) {
    const count = await fixedCount(subtopology, partitionCount);
    if (count !== undefined) counts.set(subtopology.id, count);
  }
  const open = new Set(topology.subtopologies.filter(({ id }) => !counts.has(id)));
  for (let before = Infinity; open.size > 0 && open.size < before;) {
    before = open.size;
    for (const subtopology of open) {
      const upstream = writersOf(topology, subtopology).map(({ id }) => counts.get(id));
      if (upstream.length === 0 || upstream.includes(undefined)) continue;
      counts.set(subtopology.id, Math.max(...upstream.map((count) => count ?? 0)));
      open.delete(subtopology);
    }
  }
  for (const { id, sources } of open) {
    const names = sources.map((source) => source.topic).join(", ");
    throw new RuntimeError(
      "topology-mismatch",
      `sub-topology ${id} (${names}) is fed in a circle: give its repartition topic a number of partitions`,
    );
  }
  return topology.subtopologies.map(({ id }) => counts.get(id) ?? 0);
}

/** Undefined: all its sources are repartition topics without a number. */
async function fixedCount({ id, sources }: Subtopology, partitionCount: (topic: string) => Promise<number>): Promise<number | undefined> {
  const known: { topic: string; partitions: number }[] = [];
  for (const { topic, repartition } of sources) {
    const partitions = repartition === undefined ? await partitionCount(topic) : repartition.partitions;
    if (partitions !== undefined) known.push({ topic, partitions });
  }
  if (new Set(known.map(({ partitions }) => partitions)).size > 1) {
    const list = known.map(({ topic, partitions }) => `${topic}: ${partitions}`).join(", ");
    throw new RuntimeError("topology-mismatch", `the source topics of sub-topology ${id} need the same number of partitions (${list})`);
  }
  return known[0]?.partitions;
}

function writersOf(topology: Topology, reader: Subtopology): Subtopology[] {
  const topics = new Set(reader.sources.map((source) => source.topic));
  return topology.subtopologies.filter((writer) => writer !== reader && writer.sinks.some((sink) => topics.has(sink.topic)));
}
