/** Partition counts of the topics a topology names, loaded once at start: sinks ask per record. */
import type { EventLog } from "../eventlog/port.ts";
import type { Topology } from "../topology/topology.ts";
import { RuntimeError } from "./errors.ts";

export class PartitionCounts {
  readonly #log: EventLog;
  readonly #counts = new Map<string, number>();
  constructor(log: EventLog) {
    this.#log = log;
  }
  /** @throws LogError `unknown-topic` with the topic's name. */
  async load(topology: Topology, deadLetterTopic: string | undefined): Promise<void> {
    const topics = new Set(topology.subtopologies.flatMap(({ sources, sinks }) => [...sources, ...sinks].map((node) => node.topic)));
    if (deadLetterTopic !== undefined) topics.add(deadLetterTopic);
    await Promise.all([...topics].map(async (topic) => this.#counts.set(topic, await this.#log.partitionCount(topic))));
  }
  of(topic: string): number {
    const count = this.#counts.get(topic);
    if (count === undefined) throw new RuntimeError("topology-mismatch", `topic ${topic} is not of this topology`);
    return count;
  }
}
